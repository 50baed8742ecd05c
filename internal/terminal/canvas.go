package terminal

import (
	"strings"
	"time"
)

// A braille character has two by four dots.
const (
	dotsPerColumn = 2
	dotsPerRow    = 4
	braille       = 0x2800
)

// dotBits are the bits of a braille character by column and row of its dots,
// the top row first.
var dotBits = [dotsPerColumn][dotsPerRow]rune{{0x01, 0x02, 0x04, 0x40}, {0x08, 0x10, 0x20, 0x80}}

// canvas is a grid of braille characters, each owned by the series that drew
// in it last, and a margin at the right for the letters of the lines.
type canvas struct {
	columns, rows int
	dots          []rune
	owner         []int
	margin        []int // series whose letter stands beside the row, -1 for none
}

func newCanvas(columns, rows int) *canvas {
	c := &canvas{columns: columns, rows: rows, dots: make([]rune, columns*rows), owner: make([]int, columns*rows), margin: make([]int, rows)}
	for i := range c.margin {
		c.margin[i] = -1
	}
	return c
}

// set draws the dot x from the left and y from the bottom.
func (c *canvas) set(series, x, y int) {
	y = c.rows*dotsPerRow - 1 - y
	if x < 0 || y < 0 || x >= c.columns*dotsPerColumn || y >= c.rows*dotsPerRow {
		return
	}
	cell := y/dotsPerRow*c.columns + x/dotsPerColumn
	c.dots[cell] |= dotBits[x%dotsPerColumn][y%dotsPerRow]
	c.owner[cell] = series
}

// line joins the points of a series, leaving gaps where points are missing.
func (c *canvas) line(series int, points []Point, axis valueAxis, o GraphOptions) {
	span := o.End.Sub(o.Start)
	lastX, lastY := 0, 0
	var last time.Time
	for _, p := range points {
		if !drawable(p) {
			last = time.Time{}
			continue
		}
		x := 0
		if span > 0 {
			x = int(float64(p.Time.Sub(o.Start)) / float64(span) * float64(c.columns*dotsPerColumn-1))
		}
		y := axis.dot(p.Value)
		if last.IsZero() || o.Step > 0 && p.Time.Sub(last) > o.Step*3/2 {
			c.set(series, x, y)
		} else {
			c.stroke(series, lastX, lastY, x, y)
		}
		last, lastX, lastY = p.Time, x, y
	}
	if row := c.rows - 1 - lastY/dotsPerRow; !last.IsZero() && row >= 0 && row < c.rows && c.margin[row] < 0 {
		c.margin[row] = series
	}
}

// stroke draws a straight line of dots.
func (c *canvas) stroke(series, x0, y0, x1, y1 int) {
	n := max(abs(x1-x0), abs(y1-y0), 1)
	for i := range n + 1 {
		c.set(series, x0+divide((x1-x0)*i, n), y0+divide((y1-y0)*i, n))
	}
}

// divide rounds to the nearest, away from zero.
func divide(a, b int) int {
	if a < 0 {
		return -((-2*a + b) / (2 * b))
	}
	return (2*a + b) / (2 * b)
}

func abs(n int) int { return max(n, -n) }

// row returns a row as text, in the colours of its owners.
func (c *canvas) row(row int, color bool) string {
	var b strings.Builder
	for column := range c.columns {
		cell := row*c.columns + column
		switch bits := c.dots[cell]; {
		case bits == 0:
			b.WriteByte(' ')
		case color:
			b.WriteString(paint(c.owner[cell], string(braille+bits)))
		default:
			b.WriteRune(braille + bits)
		}
	}
	if series := c.margin[row]; series >= 0 {
		letter := string(letterOf(series))
		if color {
			letter = paint(series, letter)
		}
		b.WriteString(letter)
	}
	return strings.TrimRight(b.String(), " ")
}
