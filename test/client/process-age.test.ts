import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { processAge, processStart } from '../../client/process-age.ts'

const MODULE = fileURLToPath(new URL('../../client/process-age.ts', import.meta.url))

await t.test('a process is as old as whoever made it thinks, whatever it was before', (t) => {
  const script = `import(process.argv[1]).then(({ processAge }) => console.log(processAge(), process.uptime() * 1000))`
  const shell = `sleep 0.7; exec "$0" -e "$1" "$2"`
  const out = execFileSync('/bin/sh', ['-c', shell, process.execPath, script, MODULE], { encoding: 'utf8' })
  const [age = 0, own = 0] = out.split(' ').map(Number)
  if (processStart(process.pid) !== undefined) t.ok(age - own > 600 && age - own < 30_000, out)
  t.ok(age >= own)
  t.end()
})

await t.test('this process has an age, and one that is not there has no start', (t) => {
  t.ok(processAge() >= process.uptime() * 1000 - 50)
  t.equal(processStart(2 ** 22 + 1), undefined)
  t.end()
})
