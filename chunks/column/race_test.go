//go:build race

package column

// raceDetector says that pools of other packages drop what they hold at random.
const raceDetector = true
