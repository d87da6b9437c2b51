"""The page in a real browser: what a reader sees and does."""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from penstock_limits import CircuitBreaker, Limiter
from penstock_limits.introspection import call_site
from penstock_monitoring import ConcurrencyMonitor, PageServer

from tests.browser import needs_browser
from tests.devtools import Page, opened
from tests.monitoring.helpers import Fake, Numbers
from tests.monitoring.view.helpers import TaskNode, Tasks

pytestmark = [pytest.mark.slow, needs_browser]

SCRIPT = "<script>alert(1)</script>"
IMAGE = "<img/src=x/onerror=alert(2)>"
WATCH = """window.touched = new Set(); new MutationObserver((all) => all.forEach(({target}) => {
  const element = target.closest ? target : target.parentElement;
  const row = element.closest('tr.one');
  if (row && !element.closest('svg')) touched.add(row.querySelector('button').textContent);
})).observe(document.querySelector('#resources tbody'),
  {subtree: true, childList: true, characterData: true, attributes: true})"""
NAMES = "[...document.querySelectorAll('tr.one td.name button')].map((each) => each.textContent)"


@dataclass(frozen=True)
class State:
    state: str


@asynccontextmanager
async def shown(folder: Path, **settings: float) -> AsyncIterator[tuple[Page, PageServer, ConcurrencyMonitor]]:
    """Open the page of a monitor, and see that the browser had nothing to complain of."""
    async with ConcurrencyMonitor(interval=0.05, **settings) as monitor:
        server = monitor.serve()
        async with opened(server.url, folder / "profile") as page:
            await page.look()
            await page.until("state.now && state.before")
            yield page, server, monitor
            assert page.complaints == []


def row(name: str) -> str:
    """Return the row of a resource, as an expression."""
    rows = "[...document.querySelectorAll('tr.one')]"
    return f"{rows}.find((each) => each.querySelector('button').textContent === {name!r})"


def colour(picture: bytes) -> tuple[int, ...]:
    """Return the colour of the corner of a PNG, red, green and blue."""
    (start,) = [at for at in (picture.find(b"IDAT"),) if at > 0]
    data = picture[start + 4 : start + 4 + struct.unpack(">I", picture[start - 4 : start])[0]]
    return tuple(zlib.decompressobj().decompress(data)[1:4])


async def test_a_reader_sees_what_is_in_use(tmp_path: Path) -> None:
    """In numbers and words, so that nobody needs to tell colours apart."""
    full, near, idle = (Limiter(name, max_running=4) for name in ("full", "near", "idle"))
    breaker = CircuitBreaker("service")
    async with shown(tmp_path) as (page, _, _):
        for _ in range(4):
            full.acquire_nowait()
        near.resize(5)
        for _ in range(4):
            near.acquire_nowait()
        said = f"{row('full')}.querySelector('.said').textContent"
        await page.until(f"{said} === '4 of 4, 100%'")
        words = [
            await page.run(f"getComputedStyle({row(name)}.querySelector('.said'), '::after').content")
            for name in ("full", "near", "idle")
        ]
        state = await page.run(f"{row('service')}.querySelector('.said').textContent")
        first = await page.run(NAMES)
        for limiter in (full, near):
            for _ in range(4):
                limiter.release()
        await page.until(f"{said} === '0 of 4, 0%'")

    assert ["full" in words[0], "near" in words[1], words[2]] == [True, True, "none"]
    assert state == "closed"
    assert first[:2] == ["full", "near"]
    assert idle.name
    assert breaker.name


async def test_what_is_near_its_limit_is_the_monitors_threshold(tmp_path: Path) -> None:
    """In words, in the number of them, and as the mark of each chart."""
    half = Limiter("half", max_running=4)
    for _ in range(2):
        half.acquire_nowait()
    async with shown(tmp_path, threshold=0.5) as (page, _, _):
        await page.until(f"{row('half')} !== undefined")
        word = await page.run(f"getComputedStyle({row('half')}.querySelector('.said'), '::after').content")
        marks = await page.run("[...document.querySelectorAll('.mark')].map((each) => each.getAttribute('y1'))")

    assert "near" in word
    assert set(marks) == {"12"}


async def test_names_are_text(tmp_path: Path) -> None:
    """Whatever a name holds, of a limiter, a task or an alert, it is shown and does nothing."""
    kept = [Limiter(name, max_running=1) for name in (SCRIPT, IMAGE)]
    kept[0].acquire_nowait()
    with Tasks("tasks", IMAGE, Numbers()) as tasks, Fake(SCRIPT, IMAGE, Numbers()):
        tasks.nodes = (TaskNode(SCRIPT, function=IMAGE, waits_on=f"limiter {SCRIPT!r}", children=(TaskNode(IMAGE),)),)
        async with shown(tmp_path) as (page, _, monitor):
            monitor.alert_resource_exhaustion(SCRIPT, 0.5)
            await page.until("!document.getElementById('alerts').hidden")
            await page.run("document.querySelectorAll('td.name button').forEach((each) => each.click())")
            await page.until("document.querySelectorAll('tr.more').length")
            names = await page.run(NAMES)
            scripts = await page.run("document.querySelectorAll('body script, img').length")
            text = await page.run("document.body.innerText")

    assert {SCRIPT, IMAGE} <= set(names)
    assert scripts == 0
    assert text.count(SCRIPT) >= 4


async def test_the_policy_stops_a_script_that_gets_in_all_the_same(tmp_path: Path) -> None:
    """A second wall behind the first."""
    image = """document.body.append(Object.assign(document.createElement('div'),
      {innerHTML: '<img src=x onerror="window.harmed = true">'}))"""
    async with ConcurrencyMonitor() as monitor, opened(monitor.serve().url, tmp_path / "profile") as page:
        await page.until("state.now")
        await page.run(image)
        await page.until("document.querySelector('img').complete")
        harmed = await page.run("window.harmed")
        elsewhere = await page.run("fetch('http://127.0.0.2/').then(() => 'reached', () => 'stopped')")

    assert harmed is None
    assert elsewhere == "stopped"
    assert any("Content Security Policy" in each for each in page.complaints)


async def test_a_reader_filters_and_sorts(tmp_path: Path) -> None:
    """With the keyboard alone."""
    kept = [Limiter(f"limit-{number}", max_running=number) for number in (3, 1, 2)]
    kept += [Limiter("other", max_running=1)]
    async with shown(tmp_path) as (page, _, _):
        await page.press("/")
        for key in "limit-":
            await page.press(key)
        await page.until(f"{NAMES}.length === 3")
        await page.press("Tab")
        await page.press("Tab")  # past the kinds: the heading of the names
        await page.press("Enter")
        upwards = await page.until(f"state.sort === 'name' && {NAMES}")
        sorted_by = await page.run("document.querySelector('th[aria-sort]').textContent")
        await page.press("Enter")
        downwards = await page.until(f"state.down && {NAMES}")
        await page.press("/")
        await page.press("Escape")
        everything = await page.until(f"{NAMES}.length === 4 && {NAMES}")

    assert upwards == ["limit-1", "limit-2", "limit-3"]
    assert sorted_by == "Name"
    assert downwards == upwards[::-1]
    assert "other" in everything
    assert len(kept) == 4


async def test_an_open_breaker_is_first(tmp_path: Path) -> None:
    """Before what is full, and last where the order is turned round; as in `penstock top`."""
    full, breaker = Limiter("full", max_running=1), Fake("breaker", "service", State("open"))
    async with shown(tmp_path) as (page, _, _), full:
        with breaker:
            down = await page.until(f"{NAMES}.length === 2 && {NAMES}")
            await page.run("document.querySelector('th.use button').click()")
            up = await page.until(f"!state.down && {NAMES}")

    assert (down, up) == (["service", "full"], ["full", "service"])


async def test_a_reader_sees_all_of_one_resource(tmp_path: Path) -> None:
    """Every value that the snapshot has of it, which go on changing."""
    limiter = Limiter("api", max_running=4)
    values = """Object.fromEntries([...document.querySelectorAll('tr.more dl > div')]
      .map((each) => [...each.children].map((part) => part.textContent)))"""
    async with shown(tmp_path) as (page, _, monitor):
        await page.run(f"{row('api')}.querySelector('button').click()")
        before = await page.until(f"document.querySelector('tr.more') && {values}")
        async with limiter:
            after = await page.until(f"{values}.acquired === '1' && {values}")
        fields = {name.replace("_", " ") for name in monitor.snapshot().resources[0].values}
        await page.run(f"{row('api')}.querySelector('button').click()")
        await page.until("!document.querySelector('tr.more')")

    assert set(before) == fields
    assert before["acquired"] == "0"
    assert after["running"] == "1"


async def test_only_what_changes_is_touched(tmp_path: Path) -> None:
    """Of hundreds of limits, the rows of those that do nothing are left alone."""
    kept = [Limiter(f"idle-{number:03}", max_running=4) for number in range(300)]
    busy = Limiter("busy", max_running=4)
    async with shown(tmp_path) as (page, _, _):
        few = await page.run("document.querySelectorAll('tr.one').length")
        await page.run("document.querySelector('#rest button').click()")
        await page.until("document.querySelectorAll('tr.one').length === 301")
        await page.run(WATCH)
        busy.acquire_nowait()
        await page.until("touched.has('busy')")
        turn = await page.run("state.turn")
        await page.until(f"state.turn > {turn + 2}")
        touched = await page.run("[...touched]")
        asked = await page.run("performance.getEntriesByType('resource').map((each) => each.name)")

    assert few == 200
    assert touched == ["busy"]
    assert len([name for name in asked if name.endswith("/snapshot.json")]) == 1
    assert len([name for name in asked if "/snapshot.json?since=" in name]) >= 3
    assert len(kept) == 300


async def test_a_reader_sees_the_tasks(tmp_path: Path) -> None:
    """As a tree that opens and closes: who has started what, how old it is, what it waits on, where it was made."""
    made = call_site()
    with Tasks("tasks", "agents", Numbers()) as tasks:
        child = TaskNode("part", 65, "sleep of 5 s", created=made)
        tasks.nodes = (TaskNode("ask", 2.5, "task 'part'", part_of="scope 'night'", created=made, children=(child,)),)
        async with shown(tmp_path) as (page, _, _):
            text = await page.until(
                "document.querySelector('#tasks li li li') && document.getElementById('tasks').innerText"
            )
            await page.run("document.querySelector('#tasks li li details').open = false")
            await page.until("!document.querySelector('#tasks li li li')")
            tasks.nodes = ()
            await page.until("!document.querySelector('#tasks li li')")

    assert "test_page_in_browser.py:" in text
    assert [
        word
        for word in ("agents", "ask", "scope 'night'", "2.5 s", "task 'part'", "1 min 5 s", "sleep of 5 s")
        if word not in text
    ] == []


async def test_a_reader_pauses(tmp_path: Path) -> None:
    """Nothing moves until they go on."""
    limiter = Limiter("api", max_running=4)
    async with shown(tmp_path) as (page, _, _):
        await page.press("p")
        paused = await page.until("document.getElementById('pause').ariaPressed === 'true' && state.now.at")
        limiter.acquire_nowait()
        said = await page.run("document.getElementById('said').textContent")
        await page.run("new Promise((resolve) => setTimeout(resolve, 1500))")
        still = await page.run("state.now.at")
        await page.press("p")
        await page.until(f"{row('api')}.querySelector('.said').textContent === '1 of 4, 25%'")

    assert said.startswith("Paused at ")
    assert still == paused


async def test_a_process_that_is_gone_is_told_and_one_that_comes_is_shown(tmp_path: Path) -> None:
    """On the same port, as after a restart: its history begins anew."""
    kept = Limiter("api", max_running=4)
    async with ConcurrencyMonitor(interval=0.05) as monitor:
        server = monitor.serve()
        async with opened(server.url, tmp_path / "profile") as page:
            await page.until("state.now && state.before")
            await asyncio.to_thread(server.close)
            lost = await page.until(
                "document.body.classList.contains('lost') && document.getElementById('said').textContent"
            )
            async with ConcurrencyMonitor(interval=0.05) as another:
                another.serve(port=server.port)
                await page.until("!document.body.classList.contains('lost') && state.before")
                started = await page.run("state.now.process.started")
                expected = another.snapshot().process.started

    assert lost.startswith("No answer from the process since ")
    assert started == expected
    assert kept.name


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390], ids=["wide", "narrow"])
async def test_it_fits_every_screen(tmp_path: Path, width: int, dark: bool) -> None:
    """Nothing sticks out at the side, and it is as dark as the reader's system."""
    kept = [Limiter(name, max_running=4, max_queued=7) for name in ("api", "a-name-without-an-end-" * 5)]
    kept[0].acquire_nowait()
    with Tasks("tasks", "agents", Numbers()) as tasks:
        tasks.nodes = (TaskNode("ask-" * 20, waits_on="limiter 'api'", children=(TaskNode("part"),)),)
        async with shown(tmp_path) as (page, _, _):
            await page.look(width=width, height=800, dark=dark)
            await page.run("document.querySelector('td.name button').click()")
            await page.until("Boolean(document.querySelector('tr.more'))")
            sizes = await page.run("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
            corner = colour(await page.picture())

    assert sizes[0] == sizes[1]
    assert max(corner) < 64 if dark else min(corner) > 192


async def test_text_can_be_told_from_its_ground(tmp_path: Path) -> None:
    """At least 4.5 to 1, as WCAG asks, in both schemes, for every colour that texts have."""
    contrast = """(() => {
      const style = getComputedStyle(document.documentElement);
      const light = (name) => {
        const hex = style.getPropertyValue(name).trim().replace(/^#(.)(.)(.)$/, '#$1$1$2$2$3$3');
        const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
          .map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
      const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      return Math.min(...['--text', '--faint', '--accent', '--near', '--full', '--observe', '--off', '--enforce']
        .flatMap((each) => ['--ground', '--raised'].map((ground) => ratio(light(each), light(ground)))));
    })()"""
    async with shown(tmp_path) as (page, _, _):
        light = await page.run(contrast)
        await page.look(dark=True)
        dark = await page.run(contrast)

    assert light >= 4.5
    assert dark >= 4.5


async def test_charts_say_in_words_what_they_draw(tmp_path: Path) -> None:
    """For those who cannot see them."""
    limiter = Limiter("api", max_running=4)
    limiter.acquire_nowait()
    async with shown(tmp_path) as (page, _, _):
        label = f"{row('api')}.querySelector('svg').ariaLabel"
        said = await page.until(f"{label} && {label}.includes('25') && {label}")
        line = await page.run(f"{row('api')}.querySelector('path.line').getAttribute('d')")

    assert said == "The last 1 min 0 s: highest 25%, now 25%"
    assert line.startswith("M")
