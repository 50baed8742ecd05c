package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"strings"

	"github.com/valyala/fasthttp"
)

// protocol is what a request speaks.
type protocol int

const (
	unknown protocol = iota
	version1
	version2
	influxLines
	expositionText
	jsonLines
	otlpMetrics
	protocols // how many there are
)

// protocolNames are the values of the label protocol.
var protocolNames = [protocols]string{
	unknown: "unknown", version1: "remote_write_1", version2: "remote_write_2",
	influxLines: "influx", expositionText: "text", jsonLines: "jsonl", otlpMetrics: "otlp",
}

// encoding is a compression of bodies.
type encoding int

const (
	snappyBlock encoding = iota
	zstandard
)

const (
	mediaType = "application/x-protobuf"
	messageV1 = "prometheus.WriteRequest"
	messageV2 = "io.prometheus.write.v2.Request"
)

// protocolOf tells the message that contentType announces. Without one it is
// version 1, whose senders did not always set it.
func protocolOf(contentType []byte) (protocol, error) {
	switch string(contentType) {
	case "", mediaType:
		return version1, nil
	case mediaType + ";proto=" + messageV2:
		return version2, nil
	}
	media, params, err := mime.ParseMediaType(string(contentType))
	if err != nil || media != mediaType {
		return unknown, unsupported("content type %q is not supported, %s is", contentType, mediaType)
	}
	message, given := params["proto"]
	switch {
	case !given, strings.EqualFold(message, messageV1):
		return version1, nil
	case strings.EqualFold(message, messageV2):
		return version2, nil
	}
	return unknown, unsupported("message %q is not supported, %s and %s are", message, messageV1, messageV2)
}

// encodingOf tells how the body is compressed. Without a header it is snappy's
// block format, as the protocol knows no other; zstd is an extension of
// version 1 that VictoriaMetrics's agents use.
func encodingOf(contentEncoding []byte, p protocol) (encoding, error) {
	name := bytes.TrimSpace(contentEncoding)
	switch {
	case len(name) == 0, bytes.EqualFold(name, []byte("snappy")):
		return snappyBlock, nil
	case p == version1 && bytes.EqualFold(name, []byte("zstd")):
		return zstandard, nil
	}
	return 0, unsupported("content encoding %q is not supported, snappy is", name)
}

// onlyPost refuses other methods.
func onlyPost(ctx *fasthttp.RequestCtx) error {
	if !ctx.IsPost() {
		return rejection{fasthttp.StatusMethodNotAllowed, errors.New("samples are written with POST")}
	}
	return nil
}

func unsupported(format string, args ...any) error {
	return rejection{fasthttp.StatusUnsupportedMediaType, fmt.Errorf(format, args...)}
}

func bad(format string, args ...any) error {
	return rejection{fasthttp.StatusBadRequest, fmt.Errorf(format, args...)}
}

func tooLarge(format string, args ...any) error {
	return rejection{fasthttp.StatusRequestEntityTooLarge, fmt.Errorf(format, args...)}
}
