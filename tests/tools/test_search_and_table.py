from groundling.knowledge.base import Knowledge
from groundling.tools.risk import risk_of
from groundling.tools.search import NOTHING, search
from groundling.tools.table import table, table_files


def call(tool, **arguments):
    return tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})


def knowledge(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "leave.md").write_text("# Leave\n\nStaff have 17 days of leave.", encoding="utf-8")
    (folder / "staff.csv").write_text("name,days\n김,17\n이,18\n", encoding="utf-8")
    documents = Knowledge.open(tmp_path / "knowledge", None)
    documents.add([folder / "leave.md"])
    return documents


def test_search_gives_numbered_passages_and_their_ids(tmp_path):
    with knowledge(tmp_path) as documents:
        tool = search(documents)
        answer = call(tool, query="days of leave")
        assert "[1] Leave" in answer.content
        [passage] = documents.passages(answer.artifact["passages"])
        assert "17 days" in passage.text
        assert call(tool, query="xylophone").content == NOTHING
        assert risk_of(tool) == "read"


def test_tables_beside_the_documents_are_found(tmp_path):
    with knowledge(tmp_path) as documents:
        [file] = table_files(documents)
    tool = table([file])
    assert "staff(name, days), 2 rows e.g. (김, 17)." in tool.description
    assert call(tool, sql="SELECT sum(days) AS total FROM staff").content == "total\n35"
    assert call(tool, sql="SELECT * FROM staff WHERE days > 99").content.endswith("(no rows)")
    assert table_files(None, [tmp_path / "nowhere", tmp_path / "docs"]) == [file]
