"""Just enough of PromQL to ask for what a condition is about."""

import re

STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
WORDS = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def without_filters(expr):
    """`expr` with comparisons that answer 0 or 1 instead of leaving out, so that
    it has a value where what it compares has one; and with offsets so short that
    a young Prometheus knows what was then."""
    strings = STRING.findall(expr)
    bare = STRING.sub('""', expr)
    # Not the operators of selectors.
    parts = re.split(r"(\{[^}]*\})", bare)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"(==|!=|>=|<=|>|<)(?!\s*bool)", r"\1 bool ", parts[i])
        parts[i] = re.sub(r"\boffset \w+", "offset 2s", parts[i])
    rest = iter(strings)
    return re.sub('""', lambda _: next(rest), "".join(parts))


def metrics_of(expr):
    """The names in `expr` that look like this project's metrics."""
    return {word for word in WORDS.findall(STRING.sub('""', expr))
            if re.match(r"(quantserve|process|exposer)[_:]|up$", word)}
