package otlp

import (
	"encoding/json"
	"strconv"
)

// AppendResponse appends an ExportMetricsServiceResponse to dst. With nothing
// rejected and no message it is empty: everything was stored.
func AppendResponse(dst []byte, rejected int64, message string) []byte {
	if rejected == 0 && message == "" {
		return dst
	}
	var t transcoder
	t.number(1, rejected)
	t.text(2, message)
	t.wrap(1, 0)
	return append(dst, t.out...)
}

// AppendResponseJSON is AppendResponse in JSON.
func AppendResponseJSON(dst []byte, rejected int64, message string) []byte {
	if rejected == 0 && message == "" {
		return append(dst, "{}"...)
	}
	text, _ := json.Marshal(message) // a string: it cannot fail
	dst = append(dst, `{"partialSuccess":{"rejectedDataPoints":"`...)
	dst = strconv.AppendInt(dst, rejected, 10)
	return append(append(append(dst, `","errorMessage":`...), text...), "}}"...)
}

// AppendStatus appends a google.rpc.Status, the body of an answer that is an
// error, to dst. code is one of gRPC's.
func AppendStatus(dst []byte, code int, message string) []byte {
	var t transcoder
	t.number(1, int64(code))
	t.text(2, message)
	return append(dst, t.out...)
}

// AppendStatusJSON is AppendStatus in JSON.
func AppendStatusJSON(dst []byte, code int, message string) []byte {
	text, _ := json.Marshal(message)
	dst = strconv.AppendInt(append(dst, `{"code":`...), int64(code), 10)
	return append(append(append(dst, `,"message":`...), text...), '}')
}
