/** `npm run check`: everything that can be said about the code without running it, all at once, loudest last. */
import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

const CHECKS: Readonly<Record<string, readonly string[]>> = {
  format: ['biome', 'format', '.'],
  lint: ['oxlint', '--deny-warnings'],
  types: ['tsc', '-p', '.'],
  imports: ['depcruise', 'tuf', 'keys', 'server', 'client', 'test', 'bench', 'scripts'],
  'dead code': ['knip', '--no-progress', '--no-config-hints'],
}

type Outcome = { readonly name: string; readonly passed: boolean; readonly output: string; readonly seconds: number }

const outcomes = await Promise.all(Object.entries(CHECKS).map(([name, command]) => run(name, command)))
for (const { name, passed, output } of outcomes) if (!passed) console.error(`\n--- ${name}\n${output.trim()}\n`)
for (const { name, passed, seconds } of outcomes) {
  console.log(`${passed ? 'ok    ' : 'FAILED'} ${name.padEnd(10)} ${seconds.toFixed(1)} s`)
}
process.exitCode = outcomes.every(({ passed }) => passed) ? 0 : 1

async function run(name: string, [program = '', ...args]: readonly string[]): Promise<Outcome> {
  const began = performance.now()
  const child = spawn(program, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
  const status = new Promise<number | null>((resolve, reject) => child.on('close', resolve).on('error', reject))
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { name, passed: (await status) === 0, output: out + err, seconds: (performance.now() - began) / 1000 }
}
