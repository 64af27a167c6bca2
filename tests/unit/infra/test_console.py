import threading

from devstack.console import follow_logs


def test_what_processes_log_cannot_steer_the_terminal(tmp_path, capsys):
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
