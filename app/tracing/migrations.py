"""The layout of `traces.sqlite`; append only, see `groundling.database`.

`runs` holds what lists, filters and statistics need; what went in and came out is in
`payloads`, compressed, so that a list never reads it. `seq` grows in the order in which runs
were first heard of. Times are microseconds; `started` since 1970, the others durations.
"""

from __future__ import annotations

from sqlite3 import Connection

# Runs that statistics count. LangGraph tags the runs of its nodes; a query has to say this in
# the same words for SQLite to take the index.
COUNTED = (
    "(parent IS NULL OR run_type = 'llm' OR input_tokens IS NOT NULL "
    "OR tags LIKE '%\"graph:step:%')"
)


def m001_runs(db: Connection) -> None:
    """Runs, payloads, feedback, projects, the processes that write, and what was dropped."""
    statements = """
        CREATE TABLE projects (
            id INTEGER PRIMARY KEY,
            uuid BLOB NOT NULL UNIQUE,
            name TEXT NOT NULL UNIQUE,
            description TEXT,
            started INTEGER NOT NULL,
            ended INTEGER,
            dataset BLOB,
            extra TEXT NOT NULL DEFAULT '{}'
        );
        CREATE TABLE writers (
            id INTEGER PRIMARY KEY,
            token TEXT NOT NULL UNIQUE,
            pid INTEGER NOT NULL,
            program TEXT NOT NULL,
            started INTEGER NOT NULL
        );
        CREATE TABLE runs (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            id BLOB NOT NULL UNIQUE,
            trace BLOB NOT NULL,
            parent BLOB,
            dotted_order TEXT NOT NULL,
            project INTEGER NOT NULL REFERENCES projects (id),
            name TEXT NOT NULL,
            run_type TEXT NOT NULL,
            graph TEXT,
            node TEXT,
            started INTEGER NOT NULL,
            duration INTEGER,
            status TEXT NOT NULL,
            error TEXT,
            model TEXT,
            prompt TEXT,
            prompt_sha256 TEXT,
            input_tokens INTEGER,
            output_tokens INTEGER,
            cached_tokens INTEGER,
            first_token INTEGER,
            speed REAL,
            verdict TEXT,
            thread TEXT,
            cpu INTEGER,
            memory INTEGER,
            egress INTEGER NOT NULL DEFAULT 0,
            redacted INTEGER NOT NULL DEFAULT 0,
            example BLOB,
            tags TEXT NOT NULL DEFAULT '[]',
            preview TEXT NOT NULL DEFAULT '',
            answer TEXT NOT NULL DEFAULT '',
            writer INTEGER
        );
        CREATE INDEX runs_trace ON runs (trace);
        CREATE INDEX runs_project ON runs (project, started);
        CREATE INDEX runs_node ON runs (node, started) WHERE node IS NOT NULL;
        CREATE INDEX runs_example ON runs (example) WHERE example IS NOT NULL;
        CREATE INDEX runs_running ON runs (writer) WHERE status = 'running';
        CREATE INDEX runs_short ON runs (substr(hex(id), 25));
        CREATE INDEX roots ON runs (started, duration, trace) WHERE parent IS NULL;
        CREATE INDEX roots_graph ON runs (graph, started, duration, status) WHERE parent IS NULL;
        CREATE INDEX roots_status ON runs (status, started, graph) WHERE parent IS NULL;
        CREATE INDEX roots_verdict ON runs (verdict, started, graph) WHERE parent IS NULL;
        CREATE INDEX roots_model ON runs (model, started) WHERE parent IS NULL;
        CREATE INDEX roots_thread ON runs (thread) WHERE parent IS NULL AND thread IS NOT NULL;
        CREATE TABLE payloads (
            seq INTEGER PRIMARY KEY REFERENCES runs (seq) ON DELETE CASCADE,
            inputs BLOB,
            outputs BLOB,
            events BLOB,
            extra BLOB,
            serialized BLOB
        );
        CREATE TABLE attachments (
            seq INTEGER NOT NULL REFERENCES runs (seq) ON DELETE CASCADE,
            name TEXT NOT NULL,
            mime_type TEXT NOT NULL,
            data BLOB NOT NULL,
            PRIMARY KEY (seq, name)
        );
        CREATE TABLE feedback (
            id BLOB PRIMARY KEY,
            run BLOB,
            trace BLOB,
            project INTEGER REFERENCES projects (id),
            key TEXT NOT NULL,
            score REAL,
            value TEXT,
            comment TEXT,
            correction TEXT,
            source TEXT NOT NULL,
            extra TEXT NOT NULL DEFAULT '{}',
            created INTEGER NOT NULL,
            modified INTEGER NOT NULL
        );
        CREATE INDEX feedback_run ON feedback (run);
        CREATE INDEX feedback_trace ON feedback (trace, score);
        CREATE INDEX feedback_project ON feedback (project);
        CREATE INDEX feedback_created ON feedback (created);
        CREATE TABLE drops (
            reason TEXT PRIMARY KEY,
            count INTEGER NOT NULL,
            last INTEGER NOT NULL
        );
        CREATE VIRTUAL TABLE terms USING fts5 (
            body, detail = none,
            tokenize = "unicode61 remove_diacritics 0 categories 'L* M* N* P* S* C*'"
        )
    """
    for statement in statements.split(";\n"):
        db.execute(statement)
    # What statistics read, in one place; of a million runs it is 46 MB, and read in a tenth of
    # the time that the table takes.
    db.execute(
        "CREATE INDEX runs_statistics ON runs (graph, node, run_type, started, parent, project, "
        "status, duration, input_tokens, output_tokens, cached_tokens, first_token, speed) "
        f"WHERE {COUNTED}"
    )


MIGRATIONS = (m001_runs,)
