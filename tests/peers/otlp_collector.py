"""A collector of traces: it takes OTLP over HTTP as protobuf, which OpenTelemetry's own classes read.

Its one argument is a JSON object:

    status  what each request is answered with; 200 if it is missing

On stdout it writes one JSON object a line: {"event": "listening", "port": N}, then for each request {"event": "request",
"path": TEXT, "headers": {...}}, and for each span in it {"event": "span", "name", "trace", "span", "parent", "kind",
"error": true or false, "attributes": {...}, "resource": {...}}. It ends when its stdin does.
"""

import http.server
import json
import sys
import threading

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

OPTIONS = json.loads(sys.argv[1])


def tell(event, **facts):
    print(json.dumps({"event": event, **facts}), flush=True)


def plain(attributes):
    values = {}
    for attribute in attributes:
        value = attribute.value
        values[attribute.key] = getattr(value, value.WhichOneof("value"))
    return values


class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        tell("request", path=self.path, headers={name.lower(): value for name, value in self.headers.items()})
        request = ExportTraceServiceRequest()
        request.ParseFromString(body)
        for resource_spans in request.resource_spans:
            resource = plain(resource_spans.resource.attributes)
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    tell(
                        "span",
                        name=span.name,
                        trace=span.trace_id.hex(),
                        span=span.span_id.hex(),
                        parent=span.parent_span_id.hex(),
                        kind=Span.SpanKind.Name(span.kind),
                        error=span.status.code == Status.STATUS_CODE_ERROR,
                        attributes=plain(span.attributes),
                        resource=resource,
                    )
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(OPTIONS.get("status", 200))
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
threading.Thread(target=server.serve_forever, daemon=True).start()
tell("listening", port=server.server_address[1])
sys.stdin.read()
