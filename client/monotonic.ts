/** Milliseconds on a clock that nobody sets. `performance.now` says the same, and loads a library of measuring first. */
export function monotonicNow(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1000 + nanoseconds / 1e6
}
