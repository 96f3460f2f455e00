/** `--plain-http=HOST` and `plainHttp` of a policy: one meaning for commands, gateway and trust server. */
import t from 'tap'
import type { Test } from 'tap'
import { settingsFrom } from '../../client/commands/globals.ts'
import { openContext } from '../../client/context.ts'
import type { Context } from '../../client/context.ts'
import { plainHostsOf } from '../../client/plain-hosts.ts'
import { openRegistry } from '../../client/registry/registry.ts'
import { parseImage } from '../../client/registry/reference.ts'
import { openTerminal } from '../../client/terminal.ts'
import { codeOf } from '../support/cli.ts'
import { tagsealHere } from '../support/in-process.ts'

const CASES: Record<string, readonly [named: string, host: string, spoken: boolean]> = {
  'a host without a port, on any port': ['r.example', 'r.example:5000', true],
  'a host without a port, on 80': ['r.example', 'r.example', true],
  'a host and port, there': ['r.example:5000', 'r.example:5000', true],
  'a host and port, on another one': ['r.example:5000', 'r.example:5001', false],
  'a host and port, on 80': ['r.example:5000', 'r.example', false],
  'port 80, which URLs leave out': ['r.example:80', 'r.example', true],
  'port 80, on another one': ['r.example:80', 'r.example:5000', false],
  'a host in capitals': ['R.Example', 'r.example:5000', true],
  'an address': ['10.0.0.5', '10.0.0.5:5000', true],
  'an address of IPv6': ['[fd00::5]', '[fd00::5]:5000', true],
  'an address of IPv6 with its port': ['[fd00::5]:5000', '[fd00::5]:5001', false],
  'a host below the one that is named': ['r.example', 'a.r.example', false],
  'a host that begins like it': ['r.example', 'r.example.org', false],
}
for (const [name, [named, host, spoken]] of Object.entries(CASES)) {
  await t.test(`plain http is ${spoken ? 'spoken to' : 'kept from'} ${name}`, async (t) => {
    t.equal(plainHostsOf([named]).has(host), spoken)
  })
}

/** Nobody has that name, so what is spoken to it ends before anything is sent. */
const NOBODY = 'registry.invalid'
const image = parseImage(`${NOBODY}:5000/team/app:1`)
const TRIED = { code: 'UNREACHABLE' }

/** The real one, with nothing around it. */
function contextFor(t: Test, plainHttp: readonly string[]): Context {
  const quiet = { write: () => true }
  const around = { env: {}, monotonic: () => performance.now() }
  const terminal = openTerminal({ ...around, stdout: quiet, stderr: quiet, quiet: true, verbose: false })
  const none = () => undefined
  const input = { one: () => '', many: () => [], flag: () => false, text: none, list: () => plainHttp, count: none }
  const context = openContext(settingsFrom(input, {}), {
    ...around,
    terminal,
    clock: Date.now,
    signal: new AbortController().signal,
    homeDirectory: t.testdir(),
    version: '0',
  })
  t.teardown(context.close)
  return context
}

await t.test('a registry of a command is spoken to on the port in its name', async (t) => {
  const spoken: string[] = []
  const http = {
    send: async ({ url }: { readonly url: URL }) => {
      spoken.push(url.origin)
      throw new Error('seen')
    },
    close: () => undefined,
  }
  const seen = openRegistry({ plainHttp: [NOBODY], http })
  await t.rejects(seen.resolveTag(image), { message: 'seen' })
  t.same(spoken, [`http://${NOBODY}:5000`])
  const registry = openRegistry({ plainHttp: [NOBODY], limits: { retries: 0, requestMs: 5000 } })
  t.teardown(registry.close)
  await t.rejects(registry.resolveTag(image), TRIED)
})

await t.test('so is a trust server', async (t) => {
  const list = async (...more: readonly string[]) => {
    const home = t.testdir()
    const url = ['--home', home, '--server', `http://${NOBODY}:4480`]
    await tagsealHere([...url, 'trust', 'add', `${NOBODY}/**`, '--key', 'ab'.repeat(32)])
    return await tagsealHere([...url, ...more, 'list', `${NOBODY}/team/app`])
  }
  t.equal(codeOf(await list()), 'PLAIN_HTTP_REFUSED')
  t.equal(codeOf(await list(`--plain-http=${NOBODY}`)), 'NETWORK')
  t.equal(codeOf(await list(`--plain-http=${NOBODY}:5000`)), 'PLAIN_HTTP_REFUSED')
})

await t.test('so is the registry of a gateway, whether this run or its rule names it', async (t) => {
  const NAMED: Record<string, readonly [plainHttp: readonly string[], rule: boolean]> = {
    'by this run': [[NOBODY], false],
    'by its rule': [[], true],
    'by its rule, where this run names another': [['r.example'], true],
  }
  for (const [name, [plainHttp, rule]] of Object.entries(NAMED)) {
    await t.test(name, async (t) => {
      const upstream = { registry: image.registry, plainHttp: rule, ca: undefined, login: { kind: 'none' } } as const
      const registry = await contextFor(t, plainHttp).upstream(upstream)
      await t.rejects(registry.resolveTag(image), TRIED)
    })
  }
})

await t.test('what is no host is refused before anything is done', async (t) => {
  for (const wrong of ['http://r.example', 'r.example/app', 'r.example:port', 'a b', 'fd00::5']) {
    const ran = await tagsealHere(['--home', t.testdir(), `--plain-http=${wrong}`, 'key', 'list'])
    t.equal(codeOf(ran), 'USAGE', wrong)
    t.match(ran.stderr, 'hint: write HOST, or HOST:PORT')
  }
})
