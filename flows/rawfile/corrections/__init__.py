"""Values of a Simrad file that echopype changes or drops, put where echopype has their like.

`docs/corrections.md` lists them. Each kind has a module with pure functions.
"""

from flows.rawfile.corrections.apply import Corrected, correct
from flows.rawfile.corrections.correction import Correction, Groups
from flows.rawfile.corrections.facts import FactsReader, SimradFacts

__all__ = ["Corrected", "Correction", "FactsReader", "Groups", "SimradFacts", "correct"]
