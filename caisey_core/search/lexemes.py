"""Lines and queries as PostgreSQL's text search takes them, of lexemes that are made here.

What a word is says words.py alone: PostgreSQL's own parser takes a path or an address for one word, and differs by the locale of
the server. Beside its words a line has lexemes of the blocks of sessions in which it lies, small and large ones. A query names
blocks, so that the index itself narrows the search to some sessions, however many hits there are elsewhere. For a beginning it
would first read all places of all words that begin so: short beginnings, which many words have, are lexemes too.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from caisey_core.search.words import Word, tokens

LEVELS: Final = (20, 15, 10, 5, 0)  # bits of a session's number within its block; the last are single sessions
BEGINNINGS: Final = 2  # characters of the longest beginning that is a lexeme
LONGEST: Final = 500  # characters of a lexeme: PostgreSQL takes 2046 bytes


def vector(text: str, number: int) -> str:
    """Return a line of a session as a tsvector."""
    places: dict[str, list[str]] = {}
    for at, token in enumerate(tokens(text), 1):
        places.setdefault(token[:LONGEST], []).append(str(at))
        for length in range(1, min(BEGINNINGS, len(token)) + 1):
            places.setdefault(f"^{token[:length]}", []).append(str(at))
    words = (f"'{word}':{','.join(at)}" for word, at in places.items())
    return " ".join((*words, *(_block(level, number >> level) for level in LEVELS)))


def query(words: Sequence[Word], blocks: Iterable[str]) -> str:
    """Return words, in any of these blocks, as a tsquery; tokens are letters and digits, and quoted."""
    return " & ".join((*map(_phrase, words), f"({' | '.join(blocks)})"))


def between(low: int, high: int) -> Iterator[str]:
    """Yield the blocks of the sessions from `low` to before `high`: as few as there can be."""
    while low < high:
        level = next(level for level in LEVELS if low % (1 << level) == 0 and low + (1 << level) <= high)
        yield _block(level, low >> level)
        low += 1 << level


def only(number: int) -> str:
    """Return the block of a single session."""
    return _block(0, number)


def _block(level: int, number: int) -> str:
    return f"'#{level}.{number}'"  # no word has a #, or a ^


def _phrase(word: Word) -> str:
    *whole, last = (token[:LONGEST] for token in word.tokens)
    if not word.prefix:
        end = f"'{last}'"
    elif len(last) <= BEGINNINGS:
        end = f"'^{last}'"
    else:
        end = f"'{last}':*"
    return " <-> ".join((*(f"'{token}'" for token in whole), end))
