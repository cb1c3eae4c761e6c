"""Energy and carbon: counters of the kernel's, made here as files, and the card's own table."""

import json
import re
import sys
from decimal import Decimal

import pytest
from terminals import command

import llama2swift
from llama2swift import footprint


@pytest.fixture
def tree(tmp_path):
    """Two processors, and between them what holds both."""

    def zone(number, name, micro, most):
        folder = tmp_path / f"intel-rapl:{number}"
        folder.mkdir()
        (folder / "name").write_text(name + "\n")
        (folder / "energy_uj").write_text(f"{micro}\n")
        (folder / "max_energy_range_uj").write_text(f"{most}\n")

    zone(0, "package-0", 1000, 262143328850)
    zone(1, "psys", 5, 262143328850)
    zone(2, "package-1", 9990, 9999)
    return tmp_path


def add(tree, zone, amount, most):
    path = tree / f"intel-rapl:{zone}" / "energy_uj"
    now = int(path.read_text()) + amount
    path.write_text(f"{now % (most + 1) if now > most else now}\n")


def counting(tree, context):
    """Every question for a cancel, which comes in the midst of an eval, lets the processors take something."""
    asked = []

    def ask():
        asked.append(1)
        add(tree, 0, 500, 262143328850)
        add(tree, 1, 7, 262143328850)
        add(tree, 2, 4, 9999)
        return False

    context.set_cancel(ask)
    return asked


def test_energy_is_what_all_processors_took_during_evals(stories, tree):
    with stories.context(length=64, energy=tree) as context:
        asked = counting(tree, context)
        context.eval([1, 2, 3])
        first = len(asked)
        add(tree, 0, 10**6, 262143328850)  # between two evals: somebody else's
        context.eval([4])
        t = context.timings
        assert t.energy_zones == 2 and first >= 5 and len(asked) > first
        assert t.prefill_joules == pytest.approx(first * 504e-6, abs=3e-6)  # a counter begins anew, which costs a microjoule
        assert t.decode_joules == pytest.approx((len(asked) - first) * 504e-6, abs=3e-6)
        context.reset()
        assert context.timings.prefill_joules == 0 and context.timings.energy_zones == 2


def test_a_counter_that_goes_away_ends_the_measuring(stories, tree):
    with stories.context(length=64, energy=tree) as context:
        (tree / "intel-rapl:2" / "energy_uj").write_text("nothing\n")
        context.eval([1, 2, 3])
        assert context.timings.energy_zones == 0 and context.sequence_length() == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda t: (t / "intel-rapl:0" / "energy_uj").unlink(),
        lambda t: (t / "intel-rapl:2" / "energy_uj").write_text("-5\n"),
        lambda t: (t / "intel-rapl:2" / "energy_uj").write_text("99999999999999999999999999\n"),
        lambda t: (t / "intel-rapl:0" / "max_energy_range_uj").write_text(""),
        lambda t: [(t / f"intel-rapl:{i}" / "name").write_text("dram\n") for i in (0, 2)],
        lambda t: (t / "intel-rapl:0").rename(t / "gone"),
    ],
)
def test_counters_that_cannot_be_read_are_refused(stories, tree, change):
    change(tree)
    with pytest.raises(llama2swift.errors.InputOutputError, match="the energy of no processor can be read there"):
        stories.context(length=64, energy=tree)
    with pytest.raises(llama2swift.errors.InputOutputError):
        stories.context(length=64, energy="/" + "x" * 5000)


def test_cpu_time_is_that_of_the_threads_at_work(stories):
    for threads in (1, 2):
        with stories.context(length=512, threads=threads) as context:
            context.eval([5] * 300)
            for i in range(40):
                context.eval([i])
            t = context.timings
            assert 0 < t.prefill_cpu_seconds <= threads * t.prefill_seconds * 1.05 + 0.01
            assert 0 < t.decode_cpu_seconds <= threads * t.decode_seconds * 1.05 + 0.01
            assert t.energy_zones == 0 and t.prefill_joules == 0


@pytest.mark.parametrize("hours, watts, tonnes", [(184320, 400, "31.22"), (368640, 400, "62.44"), (1038336, 350, "153.90"), (1720320, 400, "291.42")])
def test_the_cards_own_table_follows(hours, watts, tonnes):
    assert footprint.training(hours, watts) == Decimal(tonnes)


def test_labels():
    work = footprint.Work(10, 2.0, 3.0)
    assert footprint.energy(work, 50.0) == footprint.Energy(100.0, "given", "50 W by the clock")
    assert footprint.energy(work).label == "estimated" and footprint.energy(work).joules == 3 * footprint.WATTS_A_CPU
    assert footprint.energy(footprint.Work(10, 2.0, 3.0, 7.0)) == footprint.Energy(7.0, "measured", "RAPL, all processors")
    assert footprint.Energy(3.6e6, "given", "").grams(footprint.intensity(100.0)) == 100
    assert (footprint.intensity().label, footprint.intensity(5.0).label) == ("estimated", "given")
    report = footprint.report(work, footprint.Work(0, 0.0, 0.0), 50.0, footprint.intensity(36.0))
    assert report["prompt"]["joules_per_token"] == 10 and report["prompt"]["gco2e_per_token"] == pytest.approx(1e-4) and "generated" not in report
    with pytest.raises(ValueError, match="needs codecarbon|knows no country"):
        footprint.intensity(country="ATLANTIS")


@pytest.mark.parametrize("wrong", [-1, -0.5, float("nan"), float("inf"), Decimal("-1"), "7", None, True, [1], 1j], ids=str)
def test_amounts_are_numbers_of_nothing_or_more(wrong):
    """A machine that takes less than nothing gave joules below zero."""
    for name in ("hours", "watts", "grams_per_kwh", "pue"):
        with pytest.raises((TypeError, ValueError), match=f"{name} is "):
            footprint.training(**{"hours": 1, "watts": 1, name: wrong})
    if wrong is not None:
        for call, name in ((footprint.power, "watts"), (footprint.intensity, "intensity")):
            with pytest.raises((TypeError, ValueError), match=f"{name} is "):
                call(wrong)


def test_the_intensity_of_a_country_is_read_and_nothing_is_imported(tmp_path, monkeypatch):
    table = tmp_path / "codecarbon/data/private_infra/global_energy_mix.json"
    table.parent.mkdir(parents=True)
    table.write_text('{"FRA": {"carbon_intensity": 56.039}, "DEU": {}}')
    (tmp_path / "codecarbon/__init__.py").write_text("raise ImportError('something that it needs is not there')\n")
    monkeypatch.delitem(sys.modules, "codecarbon", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    found = footprint.intensity(country="FRA")
    assert (found.grams, found.label, found.source) == (56.039, "estimated", "56.039 g/kWh, FRA by codecarbon")
    for country in ("DEU", "XXX", ""):
        with pytest.raises(ValueError, match="codecarbon knows no country"):
            footprint.intensity(country=country)


def test_bench_says_what_a_token_takes(stories_path, tree):
    words = ("bench", stories_path, "-p", 8, "-n", 4, "-r", 2)
    done = command(*words, "--watts", 100, "--intensity", 36, "--json")
    took = json.loads(done.stdout)["footprint"]
    assert took["prompt"]["label"] == took["generated"]["label"] == "given" and took["generated"]["tokens"] == 8 and took["prompt"]["tokens"] == 16
    assert took["generated"]["gco2e_per_token"] == pytest.approx(took["generated"]["joules_per_token"] * 1e-5)
    done = command(*words, "--energy", tree)
    assert done.returncode == 0 and re.search(r"J a prompt token \(measured: RAPL", done.stdout) and "J a generated token" in done.stdout
    done = command(*words, "--energy", "/nowhere")
    assert done.returncode == 1 and "no intel-rapl:0/energy_uj can be read there" in done.stderr
