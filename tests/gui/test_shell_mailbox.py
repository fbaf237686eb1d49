"""The mailbox: everything is delivered once and in order, whatever single letters do."""

import threading

from pytestqt.exceptions import capture_exceptions
from pytestqt.qtbot import QtBot

from studio.jobs.mailbox import Mailbox


def test_letters_of_many_threads_arrive_once_each_in_their_own_order(qtbot: QtBot, mailbox: Mailbox) -> None:
    seen: list[tuple[int, int]] = []

    def post(sender: int) -> None:
        for number in range(200):
            mailbox.post(lambda letter=(sender, number): seen.append(letter))

    threads = [threading.Thread(target=post, args=(sender,)) for sender in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    qtbot.waitUntil(lambda: len(seen) == 800)
    for sender in range(4):
        assert [number for who, number in seen if who == sender] == list(range(200))


def test_a_letter_that_fails_does_not_cost_the_others(qtbot: QtBot, mailbox: Mailbox) -> None:
    seen: list[int] = []

    def fail() -> None:
        raise ValueError("first")

    with capture_exceptions() as caught:
        mailbox.post(lambda: seen.append(1))
        mailbox.post(fail)
        mailbox.post(lambda: seen.append(2))
        mailbox.post(lambda: seen.append(3))
        qtbot.waitUntil(lambda: len(seen) == 3)
    assert seen == [1, 2, 3]
    assert [str(error) for _, error, _ in caught] == ["first"]


def test_nothing_is_delivered_after_close(qtbot: QtBot) -> None:
    box = Mailbox()
    seen: list[int] = []
    box.post(lambda: seen.append(1))
    box.close()
    box.post(lambda: seen.append(2))
    qtbot.wait(20)
    assert seen == []
