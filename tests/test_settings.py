import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling import settings
from groundling.errors import SettingsError


def test_defaults_take_the_home_from_the_environment(home):
    loaded, origins = settings.load_with_origins()
    assert loaded.home == home
    assert origins == {"home": "environment"}


def test_flags_win_over_environment_over_file_over_profile(home, monkeypatch):
    home.mkdir()
    (home / "config.toml").write_text(
        'profile = "small"\n[model]\nseed = 1\ntop_k = 1\nthreads = 1\n', encoding="utf-8"
    )
    monkeypatch.setenv("GROUNDLING_MODEL__SEED", "2")
    monkeypatch.setenv("GROUNDLING_MODEL__TOP_K", "2")
    loaded, origins = settings.load_with_origins({"model": {"seed": 3}})
    model = loaded.model
    assert (model.seed, model.top_k, model.threads, model.context) == (3, 2, 1, 2048)
    assert origins["model.seed"] == "flag"
    assert origins["model.top_k"] == "environment"
    assert origins["model.threads"] == str(home / "config.toml")
    assert origins["model.context"] == "profile small"


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ({"modle": {}}, "modle.*no such setting"),
        ({"model": {"contxt": 1}}, r"model\.contxt.*no such setting"),
        ({"model": {"context": "many"}}, r"model\.context \(from flag\)"),
        ({"profile": "huge"}, "profile"),
        ({"model": {"temperature": -1}}, r"model\.temperature"),
    ],
)
def test_a_wrong_value_is_named_with_its_origin(home, flags, reason):
    with pytest.raises(SettingsError, match=reason):
        settings.load(flags)


def test_an_unknown_variable_of_ours_is_an_error(home, monkeypatch):
    monkeypatch.setenv("GROUNDLING_MODEL__CONTXT", "1")
    with pytest.raises(SettingsError, match="contxt"):
        settings.load()


def test_a_broken_file_is_named(home):
    home.mkdir()
    (home / "config.toml").write_text("[model", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"config\.toml"):
        settings.load()


def test_writing_keeps_the_other_settings(home):
    path = home / "config.toml"
    settings.write(path, "model.context", "8192")
    settings.write(path, "model.name", "smollm2-135m")
    loaded = settings.load()
    assert (loaded.model.context, loaded.model.name) == (8192, "smollm2-135m")


@pytest.mark.parametrize(("name", "value"), [("model.nope", "1"), ("model.context", "many")])
def test_a_wrong_value_is_not_written(home, name, value):
    path = home / "config.toml"
    with pytest.raises(SettingsError):
        settings.write(path, name, value)
    assert not path.exists()


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_text_survives_being_written(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("config") / "config.toml"
    quoted = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    settings.write(path, "model.name", quoted)
    assert settings._read_toml(path)["model"]["name"] == value


@pytest.mark.parametrize(
    ("endpoint", "off"),
    [
        (None, True),
        ("https://api.smith.langchain.com", True),
        ("http://127.0.0.1.evil.example", True),
        ("http://127.0.0.1:8000", False),
        ("http://localhost:8000", False),
    ],
)
def test_prompts_are_not_uploaded_by_a_shell_set_up_for_it(monkeypatch, endpoint, off):
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    if endpoint:
        monkeypatch.setenv("LANGSMITH_ENDPOINT", endpoint)
    assert bool(settings.keep_private()) is off
    assert (settings.environment()["LANGSMITH_TRACING"] == "false") is off


@pytest.mark.parametrize(
    ("name", "value", "off"),
    [
        ("LANGSMITH_RUNS_ENDPOINTS", '{"https://eu.example/api": "key"}', True),
        ("LANGCHAIN_RUNS_ENDPOINTS", '[{"api_url": "https://eu.example", "api_key": "k"}]', True),
        ("LANGSMITH_RUNS_ENDPOINTS", '{"http://127.0.0.1:9000": "key"}', False),
        ("LANGSMITH_OTEL_ENABLED", "true", True),
    ],
)
def test_further_places_to_upload_to_are_seen(monkeypatch, name, value, off):
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    monkeypatch.setenv("LANGSMITH_ENDPOINT", "http://127.0.0.1:8000")
    monkeypatch.setenv(name, value)
    assert bool(settings.keep_private()) is off


def test_an_owner_may_allow_uploads(monkeypatch):
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    assert settings.keep_private(settings.load({"tracing": {"upload": True}})) is None
    assert settings.environment()["LANGSMITH_TRACING"] == "true"


def test_what_langsmith_has_read_before_is_forgotten(monkeypatch):
    from langsmith.utils import tracing_is_enabled

    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    assert tracing_is_enabled()
    said = settings.keep_private(settings.load())
    assert "groundling config set tracing.upload true" in said
    assert not tracing_is_enabled()
