from io import StringIO

from rich.console import Console

from tests.unit.cli.test_dead_letters import KEY, event, headers_of, letter, record
from thumbmill.cli.console import print_status
from thumbmill.cli.dead_letters.table import count, details, tabulate


def shown(*things, width=100):
    console = Console(file=StringIO(), width=width, force_terminal=False)
    for thing in things:
        console.print(thing)
    return console.file.getvalue()


def test_a_table_for_each_queue_says_how_many():
    one = letter(headers=headers_of(OSError("no luck")))
    other = letter(b"x", {"x-reason": "malformed event: no JSON"}, queue="status_tracker.dead")
    text = shown(*tabulate([one, one, other]))
    assert "image_queue.dead: 2 dead letters" in text
    assert "status_tracker.dead: 1 dead letter\n" in text + "\n" or "status_tracker.dead: 1 dead letter " in text
    for words in (one.id, str(one.image_ids[0]), KEY, "attempts_exhausted", "OSError: no luck", "malformed_event"):
        assert words in text


def test_an_image_s_id_stays_whole_on_a_narrow_terminal():
    one = letter(headers=headers_of(OSError("no luck")))
    text = shown(*tabulate([one], 80), width=80)
    assert str(one.image_ids[0]) in text
    assert one.id in text
    assert one.died_at.astimezone().isoformat()[:10] in text


def test_a_strangers_words_are_no_markup():
    one = letter(event(record("[bold]%1B[31mx[/bold]")), {"x-reason": "[red]x[/red]"})
    for text in (shown(*tabulate([one])), shown(*details(one))):
        assert "[bold]\\x1b[31mx[/bold]" in text
        assert "[red]x[/red]" in text


def test_a_sentence_cannot_steer_the_terminal(capsys):
    print_status("minio is away: \x1b[2J[red]\u202e")
    assert capsys.readouterr().err == "minio is away: \\x1b[2J[red]\\u202e\n"


def test_a_page_shows_headers_and_body():
    text = shown(*details(letter(headers={"x-attempt": 4, "x-redriven-by": "ada"})))
    assert '"x-attempt": 4' in text
    assert '"eTag"' in text
    assert "redriven by  ada" in text


def test_numbers_are_for_people():
    assert [count(n) for n in (0, 1, 12_345)] == ["0 dead letters", "1 dead letter", "12,345 dead letters"]
