import threading

from devstack.console import follow_logs


def test_control_characters_in_logs_are_escaped(tmp_path, capsys):
    log = tmp_path / "gateway.log"
    log.touch()
    stopping = threading.Event()
    thread = follow_logs({"gateway": log}, stopping)
    log.write_bytes(b"a key: \x1b[2J\xe2\x80\xae\r\x07.jpg \xc3\xa4\n\tindented\n")
    stopping.set()
    thread.join()
    assert capsys.readouterr().out.splitlines() == [
        "gateway        | a key: \\x1b[2J\\u202e\\r\\x07.jpg ä",
        "gateway        | \tindented",
    ]
