"""An upload as a form (`multipart/form-data`): small fields by name, and the content of one file, piece by piece."""

from __future__ import annotations

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from runtime.wire.api_error import ApiError

_MOST_FIELDS = 16
_MOST_FIELD_BYTES = 4096


class Upload:
    """content_type: of the request. `fields` and `filename` are complete after the last piece. Raises ApiError 400."""

    def __init__(self, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            raise ApiError(400, "send a form: multipart/form-data with the fields 'purpose' and 'file'", "invalid_body")
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self._ended = False
        self._header = [b"", b""]
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._is_file = False
        self._value = bytearray()
        self._content: list[bytes] = []
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._headers.clear,
                "on_header_field": lambda data, start, end: self._gather(0, data[start:end]),
                "on_header_value": lambda data, start, end: self._gather(1, data[start:end]),
                "on_header_end": self._keep_header,
                "on_headers_finished": self._begin,
                "on_part_data": lambda data, start, end: self._take(data[start:end]),
                "on_part_end": self._keep_field,
                "on_end": self._end,
            },
        )

    def feed(self, data: bytes) -> bytes:
        """The part of the file's content that came with these bytes."""
        try:
            self._parser.write(data)
        except MultipartParseError as error:
            raise ApiError(400, f"the form cannot be read: {error}", "invalid_body") from error
        found = b"".join(self._content)
        self._content.clear()
        return found

    def finish(self) -> str:
        """The name of the file. Raises ApiError 400 for a form that was cut or has no file."""
        if not self._ended:
            raise ApiError(400, "the form was cut short", "invalid_body")
        if self.filename is None:
            raise ApiError(400, "the form has no file", "missing_required_parameter", "file")
        return self.filename

    def _gather(self, place: int, piece: bytes) -> None:
        self._header[place] += piece

    def _keep_header(self) -> None:
        self._headers[self._header[0].lower()] = self._header[1]
        self._header = [b"", b""]

    def _begin(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._is_file = self._name == "file"
        self._value.clear()
        if self._is_file:
            if self.filename is not None:
                raise ApiError(400, "the form has more than one file", "invalid_body", "file")
            self.filename = options.get(b"filename", b"").decode("utf-8", "replace")[:255] or "upload"

    def _take(self, piece: bytes) -> None:
        if self._is_file:
            self._content.append(piece)
            return
        self._value += piece
        if len(self._value) > _MOST_FIELD_BYTES:
            raise ApiError(400, f"the field {self._name[:100]!r} is too long", "invalid_body")

    def _keep_field(self) -> None:
        if not self._is_file:
            self.fields[self._name] = self._value.decode("utf-8", "replace")
            if len(self.fields) > _MOST_FIELDS:
                raise ApiError(400, f"the form has more than {_MOST_FIELDS} fields", "invalid_body")

    def _end(self) -> None:
        self._ended = True
