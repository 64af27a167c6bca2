"""Messages that anyone may have put into a queue: malformed events, and events of other buckets."""

import json
import random
from pathlib import Path

RECORDED = Path(__file__).parent / "data" / "notifications" / "put.json"
CLOUD_EVENT = "application/cloudevents+json"
MEGABYTE = 1024 * 1024

# Values that each field of a notification must never have.
_STRINGS = [None, 7, 1.5, True, [], {}, ["x"]]
_OBJECTS = [None, 7, "x", [], [1], True]
WRONG = {
    ("Records",): [None, 7, "x", {}, [], [None], [[]], ["x"], [{}]],
    ("eventName",): _STRINGS,
    ("s3",): _OBJECTS,
    ("s3", "bucket"): _OBJECTS,
    ("s3", "bucket", "name"): _STRINGS,
    ("s3", "object"): _OBJECTS,
    ("s3", "object", "key"): [*_STRINGS, "", "a%00b.jpg", "%ff%fe.jpg", "x" * 1025, "%C3"],
    ("s3", "object", "size"): ["big", -1, 2**63, 1.5, [], {}],
    ("s3", "object", "eTag"): [7, [], {}],
    ("s3", "object", "sequencer"): [*_STRINGS, "", "yesterday", f"{10**26:X}", f"{-(10**28):X}", "F" * 5000],
    ("s3", "object", "contentType"): [7, [], {}],
    ("s3", "object", "userMetadata"): [7, "x", [1], {"a": 1}, {"a": None}],
}
REQUIRED = [("Records",), ("eventName",), ("s3",), *(("s3", *rest) for rest in [
    ("bucket",), ("bucket", "name"), ("object",), ("object", "key"), ("object", "sequencer")
])]  # fmt: skip

# Malformed lifecycle events, distinguished from notifications by their content type.
_ENVELOPE = {
    "specversion": "1.0",
    "id": "00000000-0000-5000-8000-000000000000",
    "source": "/thumbnailer",
    "type": "thumbmill.image.removed.v1",
    "time": "2026-01-31T12:00:00+00:00",
    "subject": "00000000-0000-5000-8000-000000000000",  # is not the id of the key
    "data": {"key": "beach.jpg", "cause": "1"},
}
_WRONG_IN_ENVELOPE = [
    {},
    {"specversion": "2.0"},
    {"id": "no uuid"},
    {"type": "thumbmill.image.done.v1"},
    {"type": "thumbmill.image.done.v2"},
    {"type": "another.system"},
    {"time": "yesterday"},
    {"subject": ""},
    {"data": None},
    {"data": {}},
    {"data": {"key": "a\0b", "cause": "1"}},
]


def make_malformed_events(count, seed):
    """Yield malformed bodies, all different, with their content types; always the same for a seed."""
    chance = random.Random(seed)
    found = {}
    while len(found) < count:
        kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
        body = kind(chance)
        found[body] = CLOUD_EVENT if kind is lifecycle or chance.random() < 0.05 else "application/json"
    return list(found.items())


def make_foreign_events():
    """Yield bodies of valid events that do not concern the system."""
    changes = [
        {("s3", "bucket", "name"): "another-bucket"},
        {("s3", "bucket", "name"): "images-processed"},
        *({("eventName",): f"s3:{name}"} for name in (
            "TestEvent", "ObjectAccessed:Get", "ObjectAccessed:Head", "ObjectCreated:PutTagging",
            "ObjectCreated:PutRetention", "ObjectRemoved:NoOP", "ObjectRemoved:DeleteAllVersions",
        )),
    ]  # fmt: skip
    bodies = [_changed(change) for change in changes]
    many = _recorded()
    many["Records"][0]["s3"]["bucket"]["name"] = "another-bucket"
    many["Records"] *= 100
    return [*bodies, json.dumps(many).encode()]


# --- the kinds -----------------------------------------------------------------------------------------------


def noise(chance):
    return chance.randbytes(chance.randint(0, 300))


def large_noise(chance):
    return chance.randbytes(MEGABYTE)


def large_text(chance):
    return json.dumps({"Records": f"{chance.random()}" * (MEGABYTE // 20)}).encode()


def cut_off(chance):
    body = RECORDED.read_bytes()
    return body[: chance.randrange(1, len(body))]


def flipped(chance):
    """Return a notification with a byte that is not UTF-8."""
    body = bytearray(RECORDED.read_bytes())
    body[chance.randrange(len(body))] = chance.randrange(0xF8, 0x100)
    return bytes(body)


def marked(chance):
    """Return a notification with a byte order mark or in another encoding."""
    text = _numbered(chance)
    return chance.choice([b"\xef\xbb\xbf" + text.encode(), text.encode("utf-16"), text.encode("utf-32")])


def nested(chance):
    depth = chance.randrange(1_000, 100_000)
    inner = chance.choice([("[", "]"), ('{"Records":', "}"), ('{"s3":', "}")])
    closed = chance.random() < 0.5
    return (inner[0] * depth + "1" + inner[1] * depth * closed).encode()


def duplicate_keys(chance):
    """Return a notification with duplicate keys, of which the last counts and is invalid."""
    return _numbered(chance)[:-1].encode() + f',"Records":{chance.choice(["[]", "null", "1", "[{}]"])}}}'.encode()


def one_of_many(chance):
    """Return a hundred records, one of them malformed."""
    body = _recorded()
    body["Records"] *= 100
    body["Records"][chance.randrange(100)] = {"eventName": f"s3:ObjectCreated:{chance.random()}"}
    return json.dumps(body).encode()


def any_json(chance):
    return json.dumps(_any_value(chance, 4)).encode()


def wrong_types(chance):
    place = chance.choice(list(WRONG))
    return _changed({place: chance.choice(WRONG[place])}, chance)


def incomplete(chance):
    return _changed({chance.choice(REQUIRED): ...}, chance)


def lifecycle(chance):
    change = chance.choice(_WRONG_IN_ENVELOPE)
    return json.dumps(_ENVELOPE | change | {"extra": chance.random()}).encode()


KINDS = {
    noise: 20, large_noise: 0.3, large_text: 0.3, cut_off: 20, flipped: 20, marked: 5, nested: 1, duplicate_keys: 5,
    one_of_many: 3, any_json: 15, wrong_types: 40, incomplete: 20, lifecycle: 10,
}  # fmt: skip


def _recorded():
    return json.loads(RECORDED.read_bytes())


def _numbered(chance):
    """Return a recorded notification that differs from all others."""
    return json.dumps(_recorded() | {"number": chance.random()})


def _changed(changes, chance=None):
    """Return a recorded notification with some values replaced; ``...`` removes one."""
    body = _recorded() | ({"number": chance.random()} if chance else {})
    for (*way, last), value in changes.items():
        place = body if last == "Records" else body["Records"][0]
        for step in way:
            place = place[step]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return json.dumps(body).encode()


def _any_value(chance, depth):
    kind = chance.randrange(7 if depth else 5)
    if kind == 5:
        return [_any_value(chance, depth - 1) for _ in range(chance.randrange(4))]
    if kind == 6:
        names = chance.sample(["Records", "s3", "key", "data", "type", "id", "x", ""], chance.randrange(5))
        return {name: _any_value(chance, depth - 1) for name in names}
    text = "".join(chr(chance.choice([chance.randrange(32, 127), chance.randrange(0x110000)])) for _ in range(8))
    return [None, True, chance.randint(-(2**70), 2**70), chance.uniform(-1e9, 1e9), text][kind]
