/** What the executable `tuf-client` beside this file runs. */
import { runConformance } from '../../client/conformance.ts'

process.exitCode = await runConformance(process.argv.slice(2), (line) => process.stderr.write(`${line}\n`))
