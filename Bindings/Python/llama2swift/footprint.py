"""What a computation took in energy and carbon, and where each figure is from: measured, estimated or given.

The card's own table (Touvron et al., Llama 2, 2023, table 2) follows from hours, watts and the intensity of the grid: `training`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from . import _arguments as A

POWERCAP = "/sys/class/powercap"
# A CPU at work, where nothing measures it: the largest of the Cloud Carbon Footprint project's averages for a virtual CPU.
WATTS_A_CPU = 3.5
# The card's: the average of the United States, and what a data centre takes for each watt of a computer's.
CARD_INTENSITY, CARD_PUE = 385.0, 1.1


@dataclass(frozen=True)
class Work:
    """What was computed: tokens, seconds by the clock, seconds of CPU time of the threads that computed, joules of the processors as far
    as they were measured (None: they were not)."""

    tokens: int
    seconds: float
    cpu_seconds: float
    joules: float | None = None

    def __add__(self, other: Work) -> Work:
        joules = None if self.joules is None or other.joules is None else self.joules + other.joules
        return Work(self.tokens + other.tokens, self.seconds + other.seconds, self.cpu_seconds + other.cpu_seconds, joules)


@dataclass(frozen=True)
class Intensity:
    """Grams of CO2 equivalent a kilowatt-hour, for whatever is between the socket and the processor too; how it is known."""

    grams: float
    label: str
    source: str


@dataclass(frozen=True)
class Energy:
    """Joules, and how they are known."""

    joules: float
    label: str
    source: str

    def grams(self, intensity: Intensity) -> float:
        """Grams of CO2 equivalent."""
        return self.joules / 3.6e6 * intensity.grams


def powercap(path: str | None = None) -> str | None:
    """The folder where this machine counts energy, if this process may read it; `path` instead of the system's."""
    folder = path or POWERCAP
    try:
        with open(Path(folder) / "intel-rapl:0" / "energy_uj", encoding="ascii") as file:
            return folder if file.read(32).strip().isdigit() else None
    except (OSError, ValueError):
        return None


def power(watts: float | None) -> float | None:
    """What the host says that its machine takes, looked at before anything runs. Raises ValueError."""
    return None if watts is None else float(_amount("watts", watts))


def _amount(name: str, value: object) -> Decimal:
    """A number as it is written, 1.1 and not the double beside it. Raises TypeError, ValueError."""
    number = value if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else A.double(name, value)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name} is {A.shown(value)}, expected 0 or more")
    return Decimal(str(number)) if isinstance(number, float) else Decimal(number)


def energy(work: Work, watts: float | None = None) -> Energy:
    """Of some work: as the host says (watts of the whole machine), else as it was measured, else by CPU time."""
    if watts is not None:
        return Energy(work.seconds * watts, "given", f"{watts:g} W by the clock")
    if work.joules is not None:
        return Energy(work.joules, "measured", "RAPL, all processors")
    return Energy(work.cpu_seconds * WATTS_A_CPU, "estimated", f"{WATTS_A_CPU:g} W for a CPU at work")


def intensity(grams: float | None = None, country: str | None = None) -> Intensity:
    """Of the grid: grams a kilowatt-hour as given, of a country (three letters, ISO 3166; needs `codecarbon`), or as the card took it.
    Raises ValueError."""
    if grams is not None and country is not None:
        raise ValueError("an intensity and a country: one of them says what the grid emits")
    if grams is not None:
        grams = float(_amount("intensity", grams))
        return Intensity(grams, "given", f"{grams:g} g/kWh")
    if country is not None:
        value = _of_country(country)
        return Intensity(value, "estimated", f"{value:g} g/kWh, {country} by codecarbon")
    value = CARD_INTENSITY * CARD_PUE
    return Intensity(value, "estimated", f"{value:g} g/kWh, the card's ({CARD_INTENSITY:g} and a PUE of {CARD_PUE:g})")


def _of_country(country: str) -> float:
    # its table is read; to import it would start what it imports
    found = find_spec("codecarbon")
    if found is None or found.origin is None:
        raise ValueError(f"the intensity of {country} needs codecarbon (pip install llama2swift[footprint]), or give grams a kilowatt-hour")
    folder = Path(found.origin).parent
    try:
        with open(folder / "data/private_infra/global_energy_mix.json", encoding="utf-8") as file:
            mixes: dict[str, Any] = json.load(file)
        return float(mixes[country]["carbon_intensity"])
    except KeyError:
        raise ValueError(f"codecarbon knows no country {country!r}; expected three letters, DEU for instance") from None
    except (OSError, ValueError, TypeError) as problem:
        raise ValueError(f"the intensities of this codecarbon cannot be read: {problem}") from None


def report(prompt: Work, generated: Work, watts: float | None, grid: Intensity) -> dict[str, Any]:
    """J and g a token of each kind, with labels: for JSON. A kind without tokens has none."""
    out: dict[str, Any] = {"intensity": {"grams_per_kwh": grid.grams, "label": grid.label, "source": grid.source}}
    for name, work in (("prompt", prompt), ("generated", generated)):
        if work.tokens:
            took = energy(work, watts)
            out[name] = {
                "tokens": work.tokens, "seconds": work.seconds, "cpu_seconds": work.cpu_seconds, "joules": took.joules, "label": took.label, "source": took.source,
                "joules_per_token": took.joules / work.tokens, "gco2e": took.grams(grid), "gco2e_per_token": took.grams(grid) / work.tokens,
            }  # fmt: skip
    return out


def sentences(footprint: dict[str, Any]) -> list[str]:
    """`report` for people."""
    grid = footprint["intensity"]
    out = [
        f"{footprint[kind]['joules_per_token']:.4g} J a {kind} token ({footprint[kind]['label']}: {footprint[kind]['source']}), {footprint[kind]['gco2e_per_token']:.3g} gCO2e"
        for kind in ("prompt", "generated") if kind in footprint
    ]  # fmt: skip
    return [*out, f"gCO2e with {grid['source']} ({grid['label']})"]


def training(hours: int, watts: int, grams_per_kwh: float = CARD_INTENSITY, pue: float = CARD_PUE) -> Decimal:
    """Tonnes of CO2 equivalent of `hours` of processors that take `watts`, with two decimals, the rest cut off: as in the card.
    Raises TypeError and ValueError for what is no number of 0 or more."""
    kilowatt_hours = _amount("hours", hours) * _amount("watts", watts) / 1000
    tonnes = kilowatt_hours * _amount("grams_per_kwh", grams_per_kwh) * _amount("pue", pue) / 1_000_000
    return tonnes.quantize(Decimal("0.01"), rounding=ROUND_DOWN)
