"""The open sets as prompts with labels, and the copies of them that training and figures use.

A copy has the same question in another shape: the options of a multiple-choice question marked otherwise, or the prompt
with padding before or after it. Training asks that copies score like their originals; the figures are measured on
shapes and sentences that training did not see.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import mean

TRAINED = ("mmlu", "gsm8k", "ulab", "mtbench")
MEASURED = "alpacaeval"  # non-commercial data: never trained on

# Of the models that the set names, those that a box would run and those that a cloud would.
_WEAK = ("llama-3.1-8b-instruct", "qwen2.5-7b-instruct", "gemma-2-9b-it", "mistral-7b-instruct-v0.3")
_STRONG = ("llama-3.1-nemotron-51b-instruct", "llama-3.3-nemotron-super-49b-v1")

_OPTIONS = re.compile(r"\A(.*)\nA\. (.*?)\nB\. (.*?)\nC\. (.*?)\nD\. (.*)\nAnswer:\Z", re.DOTALL)

Wrap = Callable[[str, list[str]], str]


def _marked(marks: str, form: str, options: list[str]) -> str:
    return "\n".join(form.format(mark, option) for mark, option in zip(marks.split(), options, strict=True))


TRAINED_WRAPS: dict[str, Wrap] = {
    "brackets": lambda q, o: f"Question: {q}\n{_marked('A B C D', '({}) {}', o)}",
    "numbers": lambda q, o: f"{q}\n\n{_marked('1 2 3 4', '{}) {}', o)}\n\nPick one.",
    "dashes": lambda q, o: f"{q}\nOptions:\n{_marked('- - - -', '{} {}', o)}",
    "instruction": lambda q, o: (
        "The following is a multiple choice question. Reply with the letter of the correct answer only.\n\n"
        f"{q}\n{_marked('A B C D', '{}: {}', o)}\n\nThe correct answer is"
    ),
    "list": lambda q, o: (
        f"Please answer the question below and explain briefly.\n\n{q}\n\nChoose from: {'; '.join(o)}."
    ),
}
UNSEEN_WRAPS: dict[str, Wrap] = {
    "inline": lambda q, o: f"{q} {_marked('a b c d', '{}) {}', o)}".replace("\n", " "),
    "headings": lambda q, o: (
        f"Choose the best option.\n\n### Question\n{q}\n\n### Choices\n{_marked('A B C D', '[{}] {}', o)}\n\n"
        "Respond with a single letter."
    ),
    "roman": lambda q, o: f"Q: {q}\n{_marked('i ii iii iv', '{}) {}', o)}\nA:",
    "sentence": lambda q, o: f"{q}\n\nWhich is right: {', '.join(o[:-1])} or {o[-1]}?",
}

TRAINED_SENTENCES = (
    "Please note that this is an important question and you should think about it carefully before you answer.",
    "Take your time.",
    "This sentence says nothing about the question and can be left aside.",
    "I hope you are well and I am looking forward to your reply, which will help me and my team very much.",
    "Thank you very much for your help with this.",
    "As I said before, we have talked about all of this more than once.",
    "It was a nice day, the sun was out, and people were walking along the river with their dogs.",
    "Remember that a good answer is short and clear.",
    "The rest of this page was left empty on purpose.",
    "There is nothing else to say here, so please go on to the next part when you are ready.",
)
UNSEEN_SENTENCES = (
    "The quick brown fox jumps over the lazy dog.",
    "Please be careful and read everything before you begin to write your answer.",
    "This is some extra text that does not change the meaning of the request in any way.",
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt, what either model's answer is worth, and its copies by the name of their shape."""

    source: str
    group: str
    weak: float
    strong: float
    text: str
    copies: dict[str, str] = field(default_factory=dict)

    @property
    def gain(self) -> float:
        return self.strong - self.weak


@cache
def common_words() -> tuple[str, ...]:
    """The words of English that everybody uses, about 500."""
    return tuple(Path(__file__).with_name("common_words.txt").read_text(encoding="utf-8").split())


def prompts(folder: Path) -> list[Prompt]:
    """All prompts of the open sets, in the order of the files. Those known to be contaminated are left out."""
    found: list[Prompt] = []
    for source in (*TRAINED, MEASURED):
        name = "ulab_train_open" if source == "ulab" else f"{source}_open"
        for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").strip().split("\n"):
            row = json.loads(line)
            if row.get("contaminated"):
                continue
            weak, strong = float(row["weak"]), float(row["strong"])
            if source == "ulab":  # several models of each size: their means say more than one of each
                weak, strong = (mean(row["scores"][model] for model in models) for models in (_WEAK, _STRONG))
            elif source == "mtbench":
                weak, strong = weak / 10, strong / 10
            text = str(row["prompt"])
            found.append(Prompt(source, str(row["group"]), weak, strong, text, _copies(text, len(found))))
    return found


def _copies(text: str, seed: int) -> dict[str, str]:
    draw = random.Random(seed)
    copies: dict[str, str] = {}
    if parts := _OPTIONS.match(text):
        question, *options = parts.groups()
        copies |= {name: wrap(question, options) for name, wrap in (TRAINED_WRAPS | UNSEEN_WRAPS).items()}
    for kind, sentences in (("trained", TRAINED_SENTENCES), ("unseen", UNSEEN_SENTENCES)):
        repeated = " ".join([draw.choice(sentences)] * draw.randint(5, 40))
        words = " ".join(draw.choices(common_words(), k=200))
        for name, padding in (("repeated", repeated), ("words", words)):
            copies[f"{kind} {name}"] = f"{padding}\n{text}" if draw.random() < 0.5 else f"{text}\n{padding}"
    neutral = " ".join(draw.sample(TRAINED_SENTENCES, len(TRAINED_SENTENCES)))
    copies["trained sentences"] = f"{text}\n{neutral}"
    return copies
