from io import StringIO

from rich.console import Console

from tests.unit.cli.test_dead_letters import KEY, dead_letter, event, headers_of, record
from thumbmill.cli.console import print_status
from thumbmill.cli.dead_letters.table import describe_count, details, tabulate


def render(*renderables, width=100):
    console = Console(file=StringIO(), width=width, force_terminal=False)
    for renderable in renderables:
        console.print(renderable)
    return console.file.getvalue()


def test_each_queue_has_a_table_with_the_count():
    one = dead_letter(headers=headers_of(OSError("no luck")))
    other = dead_letter(b"x", {"x-reason": "malformed event: no JSON"}, queue="status_tracker.dead")
    text = render(*tabulate([one, one, other]))
    assert "image_queue.dead: 2 dead letters" in text
    assert "status_tracker.dead: 1 dead letter\n" in text + "\n" or "status_tracker.dead: 1 dead letter " in text
    for expected in (
        one.id,
        str(one.image_ids[0]),
        KEY,
        "attempts_exhausted",
        "OSError: no luck",
        "malformed_event",
    ):
        assert expected in text


def test_an_image_s_id_stays_whole_on_a_narrow_terminal():
    one = dead_letter(headers=headers_of(OSError("no luck")))
    text = render(*tabulate([one], 80), width=80)
    assert str(one.image_ids[0]) in text
    assert one.id in text
    assert one.dead_lettered_at.astimezone().isoformat()[:10] in text


def test_untrusted_text_is_not_markup():
    one = dead_letter(event(record("[bold]%1B[31mx[/bold]")), {"x-reason": "[red]x[/red]"})
    for text in (render(*tabulate([one])), render(*details(one))):
        assert "[bold]\\x1b[31mx[/bold]" in text
        assert "[red]x[/red]" in text


def test_control_characters_in_a_message_are_escaped(capsys):
    print_status("minio is unavailable: \x1b[2J[red]\u202e")
    assert capsys.readouterr().err == "minio is unavailable: \\x1b[2J[red]\\u202e\n"


def test_details_contain_headers_and_body():
    text = render(*details(dead_letter(headers={"x-attempt": 4, "x-redriven-by": "ada"})))
    assert '"x-attempt": 4' in text
    assert '"eTag"' in text
    assert "redriven by  ada" in text


def test_a_count_has_separators_and_a_plural():
    assert [describe_count(n) for n in (0, 1, 12_345)] == ["0 dead letters", "1 dead letter", "12,345 dead letters"]
