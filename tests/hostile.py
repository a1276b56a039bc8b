"""Names and texts that may do harm where they are shown, and a way to tell that they don't."""

HOSTILE = {
    "ANSI": "a\x1b[31mred",
    "C1": "a\x9b31mred",
    "bidi": "a\u202eb\u2066c",
    "invisible": "a\u200b\ufeffb",
    "lines": "a\nb\r\nc\td\u2028e",
    "NUL": "a\0b",
    "markup": "<script>alert('&\"')</script>]]>{{ 7*7 }}${x}",
    "surrogate": "a\udc80\ud800",
    "tags": "a\U000e0041",
    "marks": "e" + "\u0301" * 1000,
    "long": "é" * 1_000_000,
}
"""Names that users, frameworks and plugins may give."""


def harmless(text, lines=True):
    """Return whether a text can be sent to a terminal, a file or a page as it is."""
    return (text.replace("\n", "") if lines else text).isprintable()
