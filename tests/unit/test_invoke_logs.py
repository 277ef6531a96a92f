"""From a function's pipes to log events: lines, frames, limits, and hostile output."""

from __future__ import annotations

import asyncio
import os
import struct
from contextlib import suppress

import pytest

from lambent.clock import TestClock
from lambent.invoke.log_levels import rank, shows
from lambent.invoke.logs import (
    MAX_EVENT,
    LogStream,
    OutputReader,
    RawLines,
    Share,
    TelemetryFrames,
    Voice,
    node_share,
)
from lambent.invoke.timers import Timers
from tests.invoke_support import KeptLog, function

CLOCK = TestClock(1_750_000_000.0)
NOW_MS = 1_750_000_000_000


def frame(message: bytes, micros: int = NOW_MS * 1000 - 5000, kind: int = 0xA55A0003) -> bytes:
    return struct.pack(">IIQ", kind, len(message), micros) + message


def raw() -> tuple[RawLines, KeptLog]:
    log = KeptLog("s")
    return RawLines(Voice(LogStream(log, CLOCK))), log


def frames() -> tuple[TelemetryFrames, KeptLog]:
    log = KeptLog("s")
    return TelemetryFrames(Voice(LogStream(log, CLOCK)), CLOCK), log


def messages(log: KeptLog) -> list[bytes]:
    return [message for _, message in log.events]


def test_raw_output_is_an_event_a_line_with_its_newline() -> None:
    lines, log = raw()
    assert lines.feed(b"one\ntwo\n\nthr") == 3
    lines.feed(b"ee\nrest")
    lines.flush()
    lines.flush()
    assert messages(log) == [b"one\n", b"two\n", b"\n", b"three\n", b"rest"]


def test_bytes_that_are_no_text_pass_as_they_are() -> None:
    lines, log = raw()
    lines.feed(b"\xff\xfe\x00\n")
    assert messages(log) == [b"\xff\xfe\x00\n"]


@pytest.mark.parametrize("piece", [1000, 65536, 10**6])
def test_a_line_without_end_is_cut_into_events_and_never_kept_whole(piece: int) -> None:
    lines, log = raw()
    data = b"x" * (MAX_EVENT * 3 + 10) + b"\nnext\n"
    for at in range(0, len(data), piece):
        lines.feed(data[at : at + piece])
        assert len(lines._partial) <= MAX_EVENT
    assert b"".join(messages(log)) == data
    assert max(map(len, messages(log))) == MAX_EVENT
    assert messages(log)[-1] == b"next\n"


@pytest.mark.parametrize("piece", [1, 7, 16, 100_000])
def test_frames_are_events_with_their_own_time_however_they_arrive(piece: int) -> None:
    parser, log = frames()
    data = frame(b"one\nwith two lines\n") + frame(b"") + frame(b"three", NOW_MS * 1000 - 1_000_000)
    for at in range(0, len(data), piece):
        parser.feed(data[at : at + piece])
    assert log.events == [(NOW_MS - 5, b"one\nwith two lines\n"), (NOW_MS - 1000, b"three")]


def test_frames_of_every_level_and_format_are_taken() -> None:
    parser, log = frames()
    parser.feed(frame(b"json", kind=0xA55A001A) + frame(b"text", kind=0xA55A0017))
    assert messages(log) == [b"json", b"text"]


@pytest.mark.parametrize("micros", [0, (1 << 64) - 1, NOW_MS * 1000 + 60_000_000])
def test_a_time_that_cannot_be_is_replaced_by_now(micros: int) -> None:
    parser, log = frames()
    parser.feed(frame(b"m", micros))
    assert log.events == [(NOW_MS, b"m")]


def test_a_frame_larger_than_an_event_is_cut_and_never_kept_whole() -> None:
    parser, log = frames()
    data = frame(b"y" * (MAX_EVENT * 2 + 5)) + frame(b"after")
    for at in range(0, len(data), 65536):
        parser.feed(data[at : at + 65536])
        assert len(parser._buffer) <= MAX_EVENT + 65536
    assert [len(message) for message in messages(log)] == [MAX_EVENT, MAX_EVENT, 5, 5]


def test_what_is_no_frame_is_taken_as_lines_from_there_on() -> None:
    parser, log = frames()
    parser.feed(frame(b"good") + b"this is not a frame at all\n" + frame(b"late"))
    parser.flush()
    assert messages(log)[:2] == [b"good", b"this is not a frame at all\n"]
    assert messages(log)[-1].endswith(b"late")


def test_the_tail_is_the_last_four_kilobytes() -> None:
    stream = LogStream(KeptLog("s"), CLOCK)
    stream.write(0, b"before\n")
    stream.begin_tail()
    for index in range(5000):
        stream.write(0, b"%07d\n" % index)
    tail = stream.take_tail()
    assert tail == b"".join(b"%07d\n" % index for index in range(5000 - 512, 5000))
    assert stream.take_tail() is None


class Pipes:
    """An OutputReader over two real pipes."""

    def __init__(self, clock: TestClock | None = None, share: Share | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.clock = clock or TestClock()
        self.log = KeptLog("s")
        self.stream = LogStream(self.log, self.clock)
        self.timers = Timers(loop, self.clock)
        self.reader = OutputReader(loop, self.timers, self.clock, self.stream, share or node_share(self.clock))
        log_fd, self.frames = os.pipe2(os.O_NONBLOCK)
        output_fd, self.output = os.pipe2(os.O_NONBLOCK)
        self.fds = [log_fd, output_fd, self.frames, self.output]
        self.reader.attach(log_fd, output_fd)

    def close(self) -> None:
        self.reader.close()
        self.timers.close()
        for fd in self.fds:
            os.close(fd)

    def fill(self) -> int:
        """Write until the pipe is full."""
        written = 0
        try:
            while True:
                written += os.write(self.output, b"z" * 63 + b"\n")
        except BlockingIOError:
            return written

    async def turn(self) -> None:
        """Let the event loop read a full pipe."""
        for _ in range(10):
            await asyncio.sleep(0)


def test_what_was_written_before_the_answer_is_drained_at_once() -> None:
    async def main() -> None:
        pipes = Pipes()
        os.write(pipes.frames, frame(b"framed\n"))
        os.write(pipes.output, b"raw\nhalf")
        pipes.reader.drain()
        pipes.reader.flush()
        assert messages(pipes.log) == [b"framed\n", b"raw\n", b"half"]
        pipes.close()

    asyncio.run(main())


def test_an_environment_over_its_share_is_left_alone_until_it_has_paid() -> None:
    async def main() -> None:
        pipes = Pipes()
        total = 0
        for _ in range(200):
            total += pipes.fill()
            await pipes.turn()
        read = sum(map(len, messages(pipes.log)))
        # 4 MB of share at 264 for each line of 64 bytes, and one pipe more.
        assert 900_000 < read < 1_300_000
        assert total == read + 65536
        pipes.clock.advance(1.0)
        pipes.timers.run_due()
        await pipes.turn()
        assert sum(map(len, messages(pipes.log))) > read
        pipes.close()

    asyncio.run(main())


def test_environments_share_what_the_node_can_take() -> None:
    async def main() -> None:
        clock = TestClock()
        share = Share(clock, 1_000_000, 200_000)
        first, second = Pipes(clock, share), Pipes(clock, share)
        for _ in range(5):
            first.fill()
            await first.turn()
        second.fill()
        await second.turn()
        # The first used up the burst; the second read one piece before it saw that.
        assert sum(map(len, messages(second.log))) <= 16 * 1024
        clock.advance(1.0)
        second.timers.run_due()
        await second.turn()
        assert sum(map(len, messages(second.log))) > 16 * 1024
        first.close()
        second.close()

    asyncio.run(main())


def test_a_congested_store_stops_the_reading_until_it_drains() -> None:
    async def main() -> None:
        pipes = Pipes()
        pipes.log.congested = True
        os.write(pipes.output, b"one\n")
        await pipes.turn()
        os.write(pipes.output, b"two\n")
        await pipes.turn()
        pipes.reader.drain()
        assert messages(pipes.log) == [b"one\n"]
        pipes.log.relieve()
        await pipes.turn()
        assert messages(pipes.log) == [b"one\n", b"two\n"]
        pipes.close()

    asyncio.run(main())


def test_a_drain_ends_though_a_child_prints_for_ever() -> None:
    async def main() -> None:
        pipes = Pipes()
        os.set_blocking(pipes.output, True)
        child = await asyncio.create_subprocess_exec("yes", stdout=pipes.output)
        try:
            os.write(pipes.frames, frame(b"mark"))
            pipes.reader.drain()
            assert b"mark" in messages(pipes.log)
        finally:
            child.kill()
            await child.wait()
        pipes.close()

    asyncio.run(main())


def test_a_closed_pipe_ends_quietly_with_what_it_held() -> None:
    async def main() -> None:
        pipes = Pipes()
        os.write(pipes.output, b"last words")
        os.close(pipes.output)
        pipes.fds.remove(pipes.output)
        await pipes.turn()
        assert messages(pipes.log) == [b"last words"]
        pipes.reader.drain()
        pipes.close()

    asyncio.run(main())


def test_who_listens_hears_each_line_by_who_printed_it() -> None:
    async def main() -> None:
        pipes = Pipes()
        heard: list[tuple[str, bytes]] = []
        extension, printed = os.pipe2(os.O_NONBLOCK)
        pipes.fds += [extension, printed]
        pipes.reader.attach_extension(extension)
        os.write(pipes.output, b"before\n")
        pipes.reader.drain()
        pipes.reader.listen(
            lambda at, line: heard.append(("function", line)), lambda at, line: heard.append(("extension", line))
        )
        os.write(pipes.frames, frame(b"framed"))
        os.write(pipes.output, b"raw\n")
        os.write(printed, b"of an extension\n")
        await pipes.turn()
        assert sorted(heard) == [("extension", b"of an extension\n"), ("function", b"framed"), ("function", b"raw\n")]
        pipes.reader.listen(None, None)
        os.write(printed, b"unheard\n")
        pipes.reader.drain()
        assert len(heard) == 3
        assert len(messages(pipes.log)) == 5
        pipes.close()

    asyncio.run(main())


def test_the_more_a_line_costs_the_less_is_read_of_them() -> None:
    def read(cost: int) -> int:
        """Lines that were taken at once, and until the share was used up, of a child that prints for ever."""
        pipes = Pipes()
        pipes.reader.listen(lambda at, line: None, None, lambda: cost)
        taken = -1
        while taken < len(pipes.log.events):
            taken = len(pipes.log.events)
            with suppress(BlockingIOError):
                os.write(pipes.output, b"x\n" * 32_000)
            pipes.reader.drain()
        pipes.close()
        return taken

    async def main() -> None:
        alone, crowded = read(1), read(16)
        assert alone > 20_000
        assert crowded < alone / 10

    asyncio.run(main())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"level": "debug", "msg": "m", "timestamp": "2024-11-02T16:51:31.587199Z"}\n', 8),
        (b'{"level": "ERROR", "time": "2024-11-02T16:51:31+01:00"}', 20),
        (b'{"level": "critical", "@timestamp": "2024-11-02T16:51:31Z"}', 24),
        (b'{"level": "debug", "msg": "no time"}', 12),
        (b'{"level": "debug", "timestamp": "yesterday"}', 12),
        (b'{"level": "loud", "timestamp": "2024-11-02T16:51:31Z"}', 12),
        (b'{"level": 5, "timestamp": "2024-11-02T16:51:31Z"}', 12),
        (b'{"level": "debug", "time": 7, "ts": "2024-11-02T16:51:31Z"}', 8),
        (b'{"level": "' + b"d" * 100 + b'", "timestamp": "2024-11-02T16:51:31Z"}', 12),
        (b'{"level": ' + b"[" * 100_000, 12),
        (b'{"level": [' + b"[]," * 80_000 + b'[]], "timestamp": "2024-11-02T16:51:31Z"}', 12),
        (b'{"level": "\\ud800", "timestamp": "2024-11-02T16:51:31Z"}', 12),
        (b"{not json", 12),
        (b"plain text\n", 12),
        (b"\xff\xfe", 12),
    ],
    ids=range(15),
)
def test_a_line_has_the_level_that_it_gives_in_json_beside_a_time(line: bytes, expected: int) -> None:
    assert rank(line) == expected


def test_the_log_hides_lines_below_the_level_of_the_json_format_and_listeners_hear_them() -> None:
    warn = shows(function(log_format="JSON", application_log_level="WARN"))
    log, heard = KeptLog("s"), list[bytes]()
    voice = Voice(LogStream(log, CLOCK), warn)
    parser, lines = TelemetryFrames(voice, CLOCK), RawLines(Voice(LogStream(log, CLOCK), warn))
    voice.listen(lambda at, line: heard.append(line))
    parser.feed(frame(b"a debug frame", kind=0xA55A000A) + frame(b"an error frame", kind=0xA55A0016))
    lines.feed(b'plain\n{"level":"ERROR","timestamp":"2024-11-02T16:51:31Z"}\n')
    assert messages(log) == [b"an error frame", b'{"level":"ERROR","timestamp":"2024-11-02T16:51:31Z"}\n']
    assert heard == [b"a debug frame", b"an error frame"]


@pytest.mark.parametrize("fields", [{}, {"log_format": "JSON", "application_log_level": "TRACE"}])
def test_lines_are_not_looked_at_where_every_one_is_shown(fields: dict[str, str]) -> None:
    assert shows(function(**fields)) is None
