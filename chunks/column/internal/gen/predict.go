package main

import (
	"bytes"
	"fmt"
)

var predictions = []struct{ name, setup, step, done string }{
	{"none", "", "x := r", ""},
	{"delta", "x := p.first", "x += r", ""},
	{"delta2", "x, d := p.first, p.second", "d += r\nx += d", ""},
	{"linear", "line, slope := p.first, p.second", "x := line + r", "line += slope"},
}

var residuals = []struct{ name, setup, take string }{
	{"Offset", "base := p.base", "r := base + int64(v)"},
	{"Zigzag", "", "r := int64(v>>1) ^ -int64(v&1)"},
}

var results = []struct{ name, elem, setup, put string }{
	{"Ints", "int64", "", "dst[i] = x"},
	{"Whole", "float64", "", "dst[i] = float64(x)"},
	{"Quotient", "float64", "divisor, inverse := p.divisor, p.inverse",
		"f := float64(x)\nq := float64(f * inverse)\ndst[i] = math.FMA(math.FMA(-q, divisor, f), inverse, q)"},
	{"Product", "float64", "inverse := p.inverse", "dst[i] = float64(float64(x) * inverse)"},
}

// writePredictors writes one loop for each way to predict, to write a residual
// and to give the result, and a table of the loops for each kind of result,
// indexed by prediction and form of residual.
func writePredictors(b *bytes.Buffer) {
	fmt.Fprint(b, "import \"math\"\n\n")
	for _, out := range results {
		fmt.Fprintf(b, "// predict%s turns the residuals u into values; indexed by the predictor and\n// by whether residuals are zigzag.\n", out.name)
		fmt.Fprintf(b, "var predict%s = [4][2]func(dst []%s, u []uint64, p *prediction){\n", out.name, out.elem)
		for _, pred := range predictions {
			fmt.Fprintf(b, "{%s%s%s, %s%s%s},\n", pred.name, residuals[0].name, out.name, pred.name, residuals[1].name, out.name)
		}
		fmt.Fprint(b, "}\n\n")
	}
	for _, out := range results {
		for _, pred := range predictions {
			for _, res := range residuals {
				fmt.Fprintf(b, "func %s%s%s(dst []%s, u []uint64, p *prediction) {\n", pred.name, res.name, out.name, out.elem)
				fmt.Fprintf(b, "dst = dst[:len(u)]\n%s\n%s\n%s\n", pred.setup, res.setup, out.setup)
				fmt.Fprintf(b, "for i, v := range u {\n%s\n%s\n%s\n%s\n}\n}\n\n", res.take, pred.step, out.put, pred.done)
			}
		}
	}
}
