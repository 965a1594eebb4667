from __future__ import annotations

import io

import pytest

from leads.csvfile import LINES_OF_A_ROW, LONGEST_LINE, BadFile, Rows, check_encoding

HEADER = b"phone,first_name,consent_at\n"


def rows_of(text, header=HEADER):
    return list(Rows(io.BytesIO(header + text)))


def read(text, header=HEADER):
    """Line numbers with the cells, or with the code of what is wrong."""
    return [
        (row.line, row.problem.code if row.problem else list(row.cells))
        for row in rows_of(text, header)
    ]


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b"phone,first_name,consent_at", id="as we write it"),
        pytest.param(b" Phone ,First Name,CONSENT-AT", id="spaces and case"),
        pytest.param(b"\xef\xbb\xbfphone,first_name,consent_at", id="byte order mark"),
        pytest.param(b'\xef\xbb\xbf"phone","first_name","consent_at"', id="mark and quotes"),
        pytest.param(b"phone;first_name;consent_at", id="semicolons"),
        pytest.param(b"phone\tfirst_name\tconsent_at", id="tabs"),
        pytest.param(b"\n\r\nphone,first_name,consent_at", id="blank lines before it"),
    ],
)
@pytest.mark.parametrize("end", [pytest.param(b"\n", id="LF"), pytest.param(b"\r\n", id="CRLF")])
def test_the_header_names_the_columns(header, end):
    assert Rows(io.BytesIO(header + end)).names == ["phone", "first_name", "consent_at"]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        pytest.param(b"", "empty", id="empty file"),
        pytest.param(b"\n \r\n", "empty", id="blank lines only"),
        pytest.param(b"name,consent_at", "no column phone or email", id="no address"),
        pytest.param(b"phone,name", "no column consent_at", id="no consent"),
        pytest.param(b"phone,Phone,consent_at", "phone twice", id="a column twice"),
        pytest.param(b"zip,zip_code,phone,consent_at", "zip twice", id="two names of a column"),
        pytest.param(b"phone,consent_at," + b"x" * 41, "too long", id="a long name"),
        pytest.param(
            b"phone,consent_at," + b",".join(b"c%d" % n for n in range(200)),
            "202 columns",
            id="too many columns",
        ),
        pytest.param(b"phone,consent_at\r212,2026\r", "no line end", id="old Macintosh"),
        pytest.param(b"phone," + b"x" * LONGEST_LINE, "no line end", id="endless"),
        pytest.param("phone,café".encode("cp1252"), "Line 1 is not UTF-8", id="cp1252"),
        pytest.param("phone,a".encode("utf-16"), "Line 1 is not UTF-8", id="UTF-16"),
    ],
)
def test_a_file_without_a_usable_header_is_refused(header, words):
    with pytest.raises(BadFile, match=words):
        Rows(io.BytesIO(header))


def test_a_column_without_a_name_is_numbered():
    assert Rows(io.BytesIO(b"phone,,consent_at\n")).names == ["phone", "column_2", "consent_at"]


def test_cells_are_split_as_csv_says():
    assert read(b'1,"Bell, ""Ada""",x\n2,5" pipe,y\r\n') == [
        (2, ["1", 'Bell, "Ada"', "x"]),
        (3, ["2", '5" pipe', "y"]),
    ]


def test_lines_are_those_of_the_file_also_after_quoted_newlines():
    assert read(b'1,"a\nb\r\nc",x\n\n2,b,y\n') == [
        (2, ["1", "a\nb\r\nc", "x"]),
        (6, ["2", "b", "y"]),
    ]


def test_the_last_line_needs_no_end():
    assert read(b"1,a,x") == [(2, ["1", "a", "x"])]


@pytest.mark.parametrize(
    "line", [pytest.param(b"\n", id="empty"), pytest.param(b' , ,"" \n', id="empty cells")]
)
def test_a_blank_line_is_no_row(line):
    assert read(line + b"1,a,x\n") == [(3, ["1", "a", "x"])]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        pytest.param(b"1,a\n", "too_few_columns", id="too few columns"),
        pytest.param(b"1,a,x,\n", "too_many_columns", id="too many columns"),
        pytest.param(b'1,"a,x\n', "bad_quotes", id="a quote never closed"),
        pytest.param(b'1,"a"b,x\n', "bad_quotes", id="text after a closing quote"),
        pytest.param(b"1," + b"a" * 5_000_000 + b",x\n", "too_long", id="a line of 5 MB"),
    ],
)
def test_a_malformed_row_costs_itself_only(line, code):
    assert read(b"0,z,x\n" + line + b'2,"b",y\n3,c,z\n') == [
        (2, ["0", "z", "x"]),
        (3, code),
        (4, ["2", "b", "y"]),
        (5, ["3", "c", "z"]),
    ]


def test_a_quote_never_closed_does_not_pair_with_one_far_below():
    between = b"".join(b"%d,a,x\n" % n for n in range(3 * LINES_OF_A_ROW))
    found = read(b'1,"a,x\n' + between + b'2,b",y\n')
    assert found[0] == (2, "bad_quotes")
    assert len(found) == 3 * LINES_OF_A_ROW + 2


def test_an_overlong_line_is_read_in_flat_memory():
    class Endless(io.RawIOBase):
        sizes: list[int] = []
        left = 200

        def readline(self, size=-1):
            self.sizes.append(size)
            self.left -= 1
            return b"x" * size if self.left > 0 else b""

    file = io.BytesIO(HEADER)
    rows = Rows(file)
    rows._file = Endless()
    assert [row.problem.code for row in rows] == ["too_long"]
    assert max(Endless.sizes) <= 1 << 20
    assert min(Endless.sizes) > 0


def test_a_malformed_row_is_kept_in_short():
    (row,) = rows_of(b"1," + b"a" * 5_000_000 + b"\n")
    assert len(row.cells[0]) == 500


@pytest.mark.parametrize(
    "blob",
    [
        pytest.param(b"a\nb\nJos\xe9,x\n", id="cp1252"),
        pytest.param(b"a\nb\n\xed\xa0\x80\n", id="an encoded surrogate"),
        pytest.param(b"a\nb\nc\xc3", id="cut in the middle of a letter"),
    ],
)
def test_a_file_that_is_not_utf8_is_refused_with_its_line(blob):
    with pytest.raises(BadFile, match="Line 3 is not UTF-8"):
        check_encoding(io.BytesIO(blob))


def test_a_letter_across_two_blocks_is_no_fault(monkeypatch):
    monkeypatch.setattr("leads.csvfile._BLOCK", 2)
    file = io.BytesIO("aéé\nüb".encode())
    assert check_encoding(file) == 9
    assert file.tell() == 0


def test_a_stream_that_is_not_utf8_ends_where_it_stops_being():
    rows = iter(Rows(io.BytesIO(HEADER + b"1,a,x\n2,\xe9,y\n")))
    next(rows)
    with pytest.raises(BadFile, match="Line 3 is not UTF-8"):
        next(rows)
