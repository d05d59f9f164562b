"""Signing: the specification's test vectors, key files, and signatures that must not count."""

import pytest

from chamberlain.matrix import signing
from chamberlain.matrix.errors import BadJson, InvalidParam
from chamberlain.matrix.signing import SigningKey, VerifyKey, sign_json, verify_json

SPEC_KEY = SigningKey(signing.decode_base64("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1"), "1")
OTHER_KEY = SigningKey(b"\x07" * 32, "1")


@pytest.mark.parametrize(
    ("value", "signature"),
    [
        ({}, "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ"),
        (
            {"one": 1, "two": "Two"},
            "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw",
        ),
    ],
)
def test_the_vectors_of_the_specification(value: dict[str, object], signature: str) -> None:
    """The same key and the same object give the same signature."""
    signed = sign_json(value, "domain", SPEC_KEY)

    assert signed == value | {"signatures": {"domain": {"ed25519:1": signature}}}
    assert verify_json(signed, "domain", SPEC_KEY.verify_key())
    assert "signatures" not in value


def test_signing_keeps_other_signatures_and_leaves_unsigned_out() -> None:
    """Several servers may sign, and `unsigned` may change on the way."""
    once = sign_json({"a": 1, "unsigned": {"age": 5}}, "one.example", SPEC_KEY)
    twice = sign_json(once, "two.example", OTHER_KEY)
    again = sign_json(twice, "two.example", OTHER_KEY)
    twice["unsigned"] = {"age": 7}

    assert again["signatures"] == twice["signatures"]
    assert list(twice["signatures"]) == ["one.example", "two.example"]
    assert verify_json(twice, "one.example", SPEC_KEY.verify_key())
    assert verify_json(twice, "two.example", OTHER_KEY.verify_key())


def test_two_keys_of_one_server_stand_side_by_side() -> None:
    """As while a server changes its key."""
    new_key = SigningKey(b"\x08" * 32, "2")
    signed = sign_json(sign_json({"a": 1}, "one.example", OTHER_KEY), "one.example", new_key)

    assert set(signed["signatures"]["one.example"]) == {"ed25519:1", "ed25519:2"}


@pytest.mark.parametrize(
    "signatures",
    [
        None,
        [],
        "x",
        {},
        {"domain": None},
        {"domain": {}},
        {"domain": {"ed25519:2": "AAAA"}},
        {"domain": {"ed25519:1": 5}},
        {"domain": {"ed25519:1": ""}},
        {"domain": {"ed25519:1": "not base64!"}},
        {"domain": {"ed25519:1": "ä"}},
        {"domain": {"ed25519:1": "A" * 86}},
    ],
)
def test_broken_signatures_do_not_verify(signatures: object) -> None:
    """Whatever another server sends, the answer is no and never an exception."""
    assert not verify_json({"a": 1, "signatures": signatures}, "domain", SPEC_KEY.verify_key())


def test_a_changed_object_another_server_and_another_key_do_not_verify() -> None:
    """A signature is for one object, of one server, by one key."""
    signed = sign_json({"a": 1}, "domain", SPEC_KEY)

    assert not verify_json(signed | {"a": 2}, "domain", SPEC_KEY.verify_key())
    assert not verify_json(signed, "other", SPEC_KEY.verify_key())
    assert not verify_json(signed, "domain", OTHER_KEY.verify_key())


def test_floats_cannot_be_signed() -> None:
    """They have no canonical spelling."""
    with pytest.raises(BadJson):
        sign_json({"a": 1.5}, "domain", SPEC_KEY)


def test_a_key_file_gives_back_its_key() -> None:
    """One line, which other homeservers read and write too."""
    text = SPEC_KEY.to_text()
    read = SigningKey.from_text("\n" + text + "\ned25519 old AAAA\n")

    assert text == "ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA0\n"
    assert read.sign(b"x") == SPEC_KEY.sign(b"x")
    assert (read.version, read.key_id) == ("1", "ed25519:1")


@pytest.mark.parametrize(
    "text",
    ["", "ed25519", "ed25519 1", "rsa 1 AAAA", "ed25519 1 AAAA", "ed25519 1 !!", "ed25519 a-b " + "A" * 43],
)
def test_a_broken_key_file_is_an_error(text: str) -> None:
    """Better no key than a wrong one."""
    with pytest.raises(InvalidParam):
        SigningKey.from_text(text)


def test_new_keys_have_names_of_their_own() -> None:
    """A key id that stood for two keys would make old signatures look forged."""
    one, two = signing.generate(b"\x01" * 32), signing.generate(b"\x02" * 32)

    assert one.key_id != two.key_id
    assert one.key_id == signing.generate(b"\x01" * 32).key_id
    assert "AQEB" not in repr(one)


def test_public_keys_travel_as_base64() -> None:
    """With and without padding, in both alphabets."""
    text = SPEC_KEY.verify_key().to_base64()

    assert VerifyKey.from_base64(text, "ed25519:1").verify(b"m", SPEC_KEY.sign(b"m"))
    assert VerifyKey.from_base64(text + "=", "ed25519:1").to_base64() == text
    assert VerifyKey.from_base64(text.replace("+", "-").replace("/", "_"), "x").to_base64() == text
    for bad in ("", "AAAA", "!!"):
        with pytest.raises(InvalidParam):
            VerifyKey.from_base64(bad, "ed25519:1")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"f", "Zg"),
        (b"fo", "Zm8"),
        (b"foo", "Zm9v"),
        (b"foobar", "Zm9vYmFy"),
        (b"\xfb\xff", "+/8"),
    ],
)
def test_unpadded_base64(data: bytes, text: str) -> None:
    """The examples of the specification."""
    assert signing.encode_base64(data) == text
    assert signing.decode_base64(text) == data
    assert signing.encode_url_safe_base64(data) == text.replace("+", "-").replace("/", "_")
