"""Keys, tokens, passwords and logins; keys are put together here, so that none stands in a file."""

from __future__ import annotations

import pytest

from groundling.guardrails.detector import THRESHOLD, resolve
from groundling.guardrails.secrets import Secrets

DETECTOR = Secrets()
HEX = "0123456789abcdef"


def found(text):
    findings = resolve(f for f in DETECTOR.find(text) if f.score >= THRESHOLD)
    return [(f.kind, text[f.start : f.end]) for f in findings]


KEYS = {
    "openai": "sk-" + "aB3dE" * 10,
    "openai project": "sk-proj-" + "aB3-dE_fGh1jKlMnOpQrStUv" * 5,
    "anthropic": "sk-ant-api03-" + "aB3dE" * 18 + "-AA",
    "openrouter": "sk-or-v1-" + HEX * 4,
    "google": "AIza" + "aB3dE" * 7,
    "aws": "AKIA" + "ABCD2345" * 2,
    "aws temporary": "ASIA" + "ABCD2345" * 2,
    "github": "ghp_" + "aB3d" * 9,
    "github app": "ghs_" + "aB3d" * 9,
    "github fine": "github_pat_" + "aB3d" * 5 + "ab_" + "aB3d" * 14,
    "gitlab": "glpat-" + "aB3_dE-f12" * 2,
    "slack": "xoxb-" + "1234567890-" * 2 + "aB3d" * 6,
    "slack hook": "hooks.slack.com/services/T0ABCDEF1/B0ABCDEF1/" + "aB3d" * 6,
    "stripe": "sk_live_" + "aB3d" * 6,
    "hugging face": "hf_" + "aBcDe" * 6 + "fGhI",
    "langsmith": "lsv2_pt_" + HEX * 2 + "_" + HEX[:10],
    "npm": "npm_" + "aB3d" * 9,
    "pypi": "pypi-AgEIcHlwaS5vcmc" + "aB3_dE-f12" * 6,
    "sendgrid": "SG." + "aB3dE-f1_2gH3jK4lM5nO6" + "." + "aB3d" * 10 + "aB3",
    "twilio": "AC" + HEX * 2,
    "groq": "gsk_" + "aB3d" * 13,
}


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize(
    "around", ["{}", "key={} ", '{{"k": "{}"}}', "키는 {}입니다", "a\\n{}\\n", "({})"]
)
def test_providers_keys_are_found_whole(name, around):
    assert found(around.format(KEYS[name])) == [("api_key", KEYS[name])]


@pytest.mark.parametrize("name", KEYS)
def test_a_word_that_goes_on_to_a_prefix_is_no_key(name):
    assert found(f"x{KEYS[name]}") == []


def test_an_aws_secret_behind_its_key_is_hidden_with_it():
    pair = f"{KEYS['aws']},{'wJalrXUtnFEMI/K7MDENG+bPxRfiCY12345678ab'}"
    assert found(pair) == [("api_key", pair)]


def test_telegram_bots_lose_their_secret():
    assert found("bot123456789:AA" + "aB3_dE-f12x" * 3) == [("api_key", ":AA" + "aB3_dE-f12x" * 3)]


PEM = "-----BEGIN {0}PRIVATE KEY-----{2}{1}{2}-----END {0}PRIVATE KEY-----"


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
@pytest.mark.parametrize("line_break", ["\n", "\\n", "\r\n"])
def test_private_keys_are_found_from_begin_to_end(kind, line_break):
    key = PEM.format(kind, line_break.join(["MIIEpAIBAAKCAQEA" * 4] * 3), line_break)
    assert found(f"key: {key} rest") == [("private_key", key)]


def test_a_private_key_that_is_cut_short_is_hidden_as_far_as_it_goes():
    cut = PEM.format("", "MIIEpAIBAAKCAQEA" * 9, "\n").partition("\n-----END")[0]
    assert found(cut) == [("private_key", cut)]


def test_public_keys_and_the_words_alone_are_none():
    assert found("-----BEGIN PUBLIC KEY-----\n" + "MIIB" * 20 + "\n-----END PUBLIC KEY-----") == []
    assert found('if "-----BEGIN PRIVATE KEY-----" in text: raise ValueError("a key")') == []


def test_jwts_are_found():
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc_def-123"
    assert found(f"cookie {token};") == [("jwt", token)]
    assert found(f"Authorization: Bearer {token}") == [("jwt", token)]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("password=hunter2!", "password", "hunter2!"),
        ("DB_PASSWORD=foo123", "password", "foo123"),
        ("db.password: 'swordfish'", "password", "swordfish"),
        ('{"password": "swordfish"}', "password", "swordfish"),
        ('{\\"password\\": \\"swordfish\\"}', "password", "swordfish"),
        ('{"user": "hong", "password": "swordf', "password", "swordf"),
        ("비밀번호: abc123!", "password", "abc123!"),
        ("비밀번호는 abc123!입니다", "password", "abc123!"),
        ("임시 비밀번호는 'swordfish' 입니다", "password", "swordfish"),
        ("비번은 1234야", "password", "1234"),
        ("pwd = 'swordfish'", "password", "swordfish"),
        ("Server=db;Uid=sa;Pwd=s3cr3t;", "password", "s3cr3t"),
        ("my password is hunter2", "password", "hunter2"),
        ('the password is "swordfish".', "password", "swordfish"),
        ("<password>swordfish</password>", "password", "swordfish"),
        ("mysql --password s3cr3t -u root", "password", "s3cr3t"),
        ("?user=a&password=s3cr3t&x=1", "password", "s3cr3t"),
        ("password := `swordfish`", "password", "swordfish"),
        ("config['password'] = 'swordfish'", "password", "swordfish"),
        ("password    = s3cr3t", "password", "s3cr3t"),
        ("**Password**: s3cr3t", "password", "s3cr3t"),
        ("**비밀번호:** s3cr3t", "password", "s3cr3t"),
        ("PASSWORD : s3cr3t", "password", "s3cr3t"),
        ("api_key = 'abcd1234efgh'", "api_key", "abcd1234efgh"),
        ("X-API-Key: abcd1234efgh", "api_key", "abcd1234efgh"),
        ("API 키: abcd1234efgh", "api_key", "abcd1234efgh"),
        ("AWS_SECRET_ACCESS_KEY=wJalr/K7MDENG+bPx", "api_key", "wJalr/K7MDENG+bPx"),
        ("AccountKey=abcd1234+/efgh==;Endpoint", "api_key", "abcd1234+/efgh=="),
        ("client_secret: 'abcd1234efgh'", "api_key", "abcd1234efgh"),
        ('"access_token": "abcd1234efgh"', "token", "abcd1234efgh"),
        ("Authorization: Bearer abcd1234efgh5678ijkl", "token", "abcd1234efgh5678ijkl"),
        ("curl -H 'Bearer abcd1234efgh5678ijkl'", "token", "abcd1234efgh5678ijkl"),
        ("Authorization: Basic aG9uZzpzM2NyM3Q=", "token", "aG9uZzpzM2NyM3Q="),
        ("token: abcd1234efgh5678", "token", "abcd1234efgh5678"),
        ("postgresql://hong:s3cr3t@db.example.com/x", "connection_string", "hong:s3cr3t"),
        ("redis://:s3cr3t@localhost:6379", "connection_string", ":s3cr3t"),
        ("mongodb+srv://hong:p%40ss@cluster0.example.net", "connection_string", "hong:p%40ss"),
        ("https://hong:s3cr3t@example.com/x", "basic_auth", "hong:s3cr3t"),
    ],
)
def test_assigned_and_told_secrets_are_found(text, kind, value):
    assert found(text) == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "password: required",
        "Password: must be at least 8 characters",
        "비밀번호: 8자 이상, 영문과 숫자",
        "비밀번호는 8-16자로 정하고 90일마다 바꿉니다",
        "비밀번호는 SHA-256으로 저장하고 암호: AES-256 방식",
        "비밀번호 변경 2026-01-01",
        "the password is wrong, the password is required",
        "password = os.environ['DB_PASSWORD']",
        "password=get_password(user)",
        "password = settings.db_password",
        "def login(user: str, password: str) -> bool:",
        "connect(password=password, api_key=api_key)",
        "password=${DB_PASSWORD} api_key=<your-api-key>",
        'password: "********", "password": "{{ secret }}"',
        '"api_key": "YOUR_API_KEY", "api_key": null',
        "max_tokens=256, eos_token: '</s>', token: 'Hello', tokens: 1024",
        '{"token": "안녕하세요", "logprob": -0.12}',
        "token_type: bearer, secret: the treasure map",
        "pad_token='[PAD]' sk-learn sk-model-selection-and-evaluation-tools",
        "primary_key=True, key=lambda x: x, keyboard: qwerty123",
        "a bearer of bad news: Bearer bonds",
        "https://example.com:8080/@user and http://localhost:3000/a@b",
        "postgresql://user:<password>@host/db and https://{user}:{password}@host",
        "git@github.com:org/repo.git ssh://git@github.com/x",
        "task-force desk-1234567890 risk-averse",
        "hf_hub_download npm_config_registry ghp_ xoxb- AIza",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "550e8400-e29b-41d4-a716-446655440000",
        "eyJ is how base64 of a JSON object begins",
        "passage: 12345678, compass=north1",
        "pass: 0.9512",
        "[PASSWORD] password=[PASSWORD] token=[API_KEY]",
    ],
)
def test_words_code_and_placeholders_are_no_secrets(text):
    assert found(text) == []


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("password", "swordfish", "password"),
        ("userPassword", "hunter2", "password"),
        ("DB_PASS", "hunter2", "password"),
        ("비밀번호", "1234", "password"),
        ("openai_api_key", "abcd1234efgh", "api_key"),
        ("Authorization", "Basic aG9uZzpzM2NyM3Q=", "token"),
        ("secret", "abcd1234efgh5678", "token"),
    ],
)
def test_a_fields_name_tells_that_its_value_is_a_secret(name, value, kind):
    [finding] = DETECTOR.find_in_field(name, value)
    assert (finding.kind, finding.start, finding.end) == (kind, 0, len(value))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("token", "Hello"),
        ("password", "********"),
        ("password", "string"),
        ("password", "Enter your password"),
        ("api_key", "YOUR_API_KEY"),
        ("password_hint", "swordfish"),
        ("content", "swordfish1"),
    ],
)
def test_other_fields_hold_none(name, value):
    assert list(DETECTOR.find_in_field(name, value)) == []


def test_full_width_signs_and_joiners_hide_nothing():
    text = "비밀번호：ａｂｃ１２３！"
    assert found(text) == [("password", "ａｂｃ１２３！")]
    key = KEYS["github"]
    split = f"{key[:9]}\u200b{key[9:]}"
    assert found(f"{split} 끝") == [("api_key", split)]
