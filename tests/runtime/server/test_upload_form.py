"""The form of an upload: bounds on everything that a client may send without end."""

from __future__ import annotations

import tracemalloc

import pytest

from runtime.server.upload import Upload
from runtime.wire.api_error import ApiError

START = b"--b\r\n"


@pytest.mark.parametrize(
    "piece", [b"x" * 4096, b"a: b\r\n" * 600, b"x" * 500 + b":"], ids=["a name", "many headers", "names with values"]
)
def test_headers_of_a_part_that_never_end_take_no_memory(piece: bytes) -> None:
    """One name without end, and headers without end."""
    upload = Upload("multipart/form-data; boundary=b")
    upload.feed(START)
    tracemalloc.start()
    try:
        with pytest.raises(ApiError) as refused:
            for _ in range(1000):
                upload.feed(piece)
        assert refused.value.status == 400
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_the_headers_of_each_part_have_their_own_bound() -> None:
    """Many small fields are a form."""
    upload = Upload("multipart/form-data; boundary=b")
    for number in range(10):
        upload.feed(
            START + b'content-disposition: form-data; name="f%d"\r\nx-long: %b\r\n\r\nv\r\n' % (number, b"y" * 3000)
        )
    upload.feed(START + b'content-disposition: form-data; name="file"; filename="../../a"\r\n\r\nrow\r\n--b--\r\n')
    assert (upload.finish(), len(upload.fields)) == ("../../a", 10)
