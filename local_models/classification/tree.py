"""The labels as the tokenizer cuts them, laid together: where their tokens part is where the model decides between them.

Pure. Learns the cuts from prompts that hold a label as their last answer; knows nothing of probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from local_models.classification.answer import AnswerError, Spelling
from local_models.classification.question import MOST_LISTED

SENTINELS = ("0", "Z")  # answers that share no token: what their prompts share is what stands around an answer

Labels = tuple[str, ...]

_FEW = 8  # labels whose tokens stand among the twenty most probable of those a grammar of the labels allows


@dataclass(frozen=True, slots=True)
class Cut:
    """A label's tokens, the end of the answer as the last one. texts: of the tokens without the end."""

    ids: tuple[int, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A place where labels differ. path: the tokens they share; children: the labels behind each token that may follow.

    text: the path as text; None where it ends inside a character and is no text.
    """

    labels: Labels
    path: tuple[int, ...]
    text: str | None
    children: Mapping[int, Labels]


class LabelTree:
    """nodes: by the labels that part there; those of `root` are all. room: tokens of an answer that decide its label.

    ids: the tokens to list at every step, or none where the twenty most probable ones hold them anyway. None where possible,
    because vLLM 0.32 without Triton mixes requests up: one that names tokens in a batch spoils the lists of those beside it
    that do not. So the questions of one run all name tokens, or none does.
    """

    def __init__(self, cuts: Mapping[str, Cut]) -> None:
        self.labels: Labels = tuple(cuts)
        self.nodes: dict[Labels, Node] = {}
        self._grow(cuts, self.labels)
        self.root = self.nodes[self.labels]
        self.room = max(len(node.path) for node in self.nodes.values()) + 1
        # The tokens whose probabilities a row's question asks for: of the upper nodes, as many as may be asked for.
        found: dict[int, None] = {}
        for node in sorted(self.nodes.values(), key=lambda node: len(node.path)) if len(self.labels) > _FEW else ():
            if len(found.keys() | node.children.keys()) <= MOST_LISTED:
                found.update(dict.fromkeys(node.children))
        self.ids = tuple(found)

    def _grow(self, cuts: Mapping[str, Cut], labels: Labels) -> None:
        shared = _shared([cuts[label].ids for label in labels])
        children: dict[int, Labels] = {}
        for label in labels:
            following = cuts[label].ids[shared]
            children[following] = (*children.get(following, ()), label)
        first = cuts[labels[0]]
        texts = first.texts[:shared]
        text = "".join(texts)
        whole = not texts or (texts[-1] != "" and labels[0].startswith(text))  # not cut inside a character
        self.nodes[labels] = Node(labels, first.ids[:shared], text if whole else None, children)
        for behind in children.values():
            if len(behind) > 1:
                self._grow(cuts, behind)

    def ids_at(self, node: Node) -> tuple[int, ...]:
        """The tokens to list at this one place, as `ids`."""
        return tuple(node.children) if self.ids else ()


def cuts_from(spellings: Mapping[str, Spelling], labels: Sequence[str]) -> dict[str, Cut]:
    """Every label's cut. spellings: of the prompts that end in each label and each sentinel. Raises AnswerError."""
    one, other = (spellings[sentinel].ids for sentinel in SENTINELS)
    before = _shared([one, other])
    behind = _shared([one[before:][::-1], other[before:][::-1]])
    if behind == 0:
        raise AnswerError("the model's chat template does not end an answer")
    head, tail = one[:before], one[len(one) - behind :]
    cuts = {}
    for label in labels:
        spelling = spellings[label]
        end = len(spelling.ids) - behind
        if spelling.ids[:before] != head or spelling.ids[end:] != tail or end <= before:
            raise AnswerError(
                f"the model's chat template or tokenizer changes the label {label!r}: choose other words for it"
            )
        cuts[label] = Cut(spelling.ids[before : end + 1], spelling.texts[before:end])
    return cuts


def _shared(sequences: Sequence[Sequence[int]]) -> int:
    """Length of the longest common prefix."""
    length = 0
    for tokens in zip(*sequences, strict=False):
        if len(set(tokens)) > 1:
            break
        length += 1
    return length
