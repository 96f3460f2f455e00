/**
 * Every `sh` block of README and guides runs, in order, one shell for each document, against a real server and a real
 * registry that stand in for trust.example.com and registry.example.com, and where it is named the original server of
 * Notary for notary.example.com. `console` blocks are not run (they need a
 * daemon or a fresh clone); the commands and options they name must exist all the same.
 */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { openStage } from '../../scripts/demo/stage.ts'
import type { Stage } from '../../scripts/demo/stage.ts'
import { buildIndex } from './images.ts'
import type { Stored } from './images.ts'
import { whyNoNotary } from './notary.ts'
import { whyNoNotaryServer } from './notary-server.ts'
import { openOldNotary } from './old-notary.ts'
import { TAGSEAL, TAGSEAL_SERVER } from './programs.ts'
import { pushImage, startRegistry, whyNoRegistry, whyNoSkopeo } from './registry.ts'
import { runInside } from './run-inside.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const OLD_SERVER = 'https://notary.example.com'
const PASSPHRASE = 'a passphrase for the guides'
const TAGS = ['1.4', '1.5', 'stable', 'a-1', 'nightly-1', 'unsigned']
const run = promisify(execFile)
const helps = new Map<string, string | undefined>()
const PRELUDE = `
set -euo pipefail
cd "$SANDBOX"
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT
listening() {
  for _ in $(seq 600); do
    if (exec 3<>/dev/tcp/127.0.0.1/"$1") 2>/dev/null; then return 0; fi
    sleep 0.1
  done
  cat server.log >&2
  return 1
}
signer_listening() {
  for _ in $(seq 600); do
    if [ -S signer.sock ]; then return 0; fi
    sleep 0.1
  done
  cat signer.log >&2
  return 1
}
`

/** The tests of one document, by its path in this repository. */
export async function tryDocument(t: Test, path: string): Promise<void> {
  const document = join(ROOT, path)
  const text = await readFile(document, 'utf8')
  const old = text.includes(OLD_SERVER) ? ((await whyNoNotary()) ?? (await whyNoNotaryServer())) : undefined
  const skip = (await whyNoRegistry()) ?? (await whyNoSkopeo()) ?? (await whyNoPrograms('curl', 'openssl')) ?? old
  await t.test('what it shows works', { skip: skip ?? false }, async (t) => {
    const stage = await openStage()
    t.teardown(stage.close)
    const { status, output } = await play(stage, text)
    if (status !== 0) t.comment(output)
    t.equal(status, 0, 'the shell ends with 0')
  })
  await t.test('every command and option it names exists', async (t) => {
    for (const { command, options } of mentioned(text)) {
      const help = await helpOf(command)
      t.ok(help !== undefined, `tagseal ${command}`)
      for (const option of options) t.ok(help?.includes(option), `tagseal ${command} ${option}`)
    }
  })
  await t.test('every file it links to is there', async (t) => {
    for (const [, link = ''] of text.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)) {
      await t.resolves(
        readFile(join(dirname(document), link)).catch(() => readdir(join(dirname(document), link))),
        link,
      )
    }
  })
}

type Played = { readonly status: number; readonly output: string }

async function play(stage: Stage, text: string): Promise<Played> {
  const registry = await startRegistry()
  stage.atEnd(registry.stop)
  const images = new Map<string, Stored>()
  for (const tag of TAGS) {
    images.set(tag, await pushImage(registry, 'team/app', tag, buildIndex([{ layers: [{ tag }] }])))
  }
  const old = text.includes(OLD_SERVER) ? await openOld(stage, registry.host, images) : undefined
  const place = ['--data', stage.path('trust.example.com')]
  const alone = { TAGSEAL_SERVER_READERS: '0' }
  const server = await stage.serve(TAGSEAL_SERVER, [...place, '--listen', '127.0.0.1:0'], alone)
  const made = await stage.run(TAGSEAL_SERVER, [
    'token',
    'create',
    ...place,
    '--name',
    'ci',
    '--repo',
    '**',
    '--allow',
    'push',
  ])
  const sandbox = stage.path('sandbox')
  await mkdir(sandbox)
  await writeFile(join(sandbox, 'token'), made.stdout, { mode: 0o600 })
  await writeFile(stage.path('passphrase'), `${PASSPHRASE}\n`, { mode: 0o600 })
  const own = text.replaceAll(OLD_SERVER, old?.url ?? OLD_SERVER)
  await writeFile(stage.path('play.sh'), await scriptOf(own, registry.host, server.url))
  const env = {
    PATH: `${await shims(stage)}:${process.env['PATH'] ?? ''}`,
    TAGSEAL_PASSPHRASE_FILE: stage.path('passphrase'),
    SANDBOX: sandbox,
    ...(old === undefined ? {} : { NODE_EXTRA_CA_CERTS: old.ca }),
  }
  const { status, stdout, stderr } = await stage.run('bash', [stage.path('play.sh')], env)
  return { status: status ?? 1, output: `${stdout}\n${stderr}` }
}

/** What somebody signed with docker's content trust, and left in the home of whoever reads the guide. */
async function openOld(stage: Stage, host: string, images: ReadonlyMap<string, Stored>) {
  const tags = new Map([...images].filter(([tag]) => tag === '1.4'))
  const trustDir = stage.path('tmp', '.docker', 'trust')
  const wish = { dir: stage.path('tmp'), trustDir, repository: `${host}/team/app`, tags, passphrase: PASSPHRASE }
  const old = await openOldNotary(wish)
  stage.atEnd(old.stop)
  return old
}

/** Prints each block before it runs, so that a failure says where; ends what the blocks left in the background. */
async function scriptOf(text: string, host: string, server: string): Promise<string> {
  const [port, gateway, second, third, admission] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ]
  const blocks = [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) =>
    inCluster(block, server)
      .replaceAll('registry.example.com', host)
      .replaceAll('https://trust.example.com', server)
      .replaceAll(/127\.0\.0\.1:4480\b/g, `127.0.0.1:${port}`)
      .replaceAll(/127\.0\.0\.1:5080\b/g, `127.0.0.1:${gateway}`)
      .replaceAll(/127\.0\.0\.1:4481\b/g, `127.0.0.1:${second}`)
      .replaceAll(/127\.0\.0\.1:4482\b/g, `127.0.0.1:${third}`)
      .replaceAll(/127\.0\.0\.1:8443\b/g, `127.0.0.1:${admission}`)
      .replaceAll(/^(tagseal admission .*) &$/gm, `$1 > admission.log 2>&1 &\nlistening ${admission}`)
      .replaceAll(/^(tagseal gateway .*) &$/gm, `$1 > server.log 2>&1 &\nlistening ${gateway}`)
      .replaceAll(/^(tagseal-server signer .*) &$/gm, '$1 > signer.log 2>&1 &\nsigner_listening')
      .replaceAll(/^tagseal-server (?!token|signer)(.*) &$/gm, (_, rest: string) => {
        const listen = rest.includes('--listen') ? rest : `${rest} --listen 127.0.0.1:${port}`
        const at = /--listen 127\.0\.0\.1:(\d+)/.exec(listen)?.[1] ?? port
        return `tagseal-server ${listen} > server.log 2>&1 &\nlistening ${at}`
      }),
  )
  return `${PRELUDE}\n${blocks.map((block) => `cat >&2 <<'SHOWN'\n${block}SHOWN\n${block}`).join('\n')}`
}

/** A cluster reaches nothing of this machine, and what would have it try is refused: there the server has its own name. */
function inCluster(block: string, server: string): string {
  if (!block.includes('tagseal admission --manifests')) return block
  return `sed -i 's|${server}|https://trust.invalid|' policy.yaml\n${block}`
}

async function shims(stage: Stage): Promise<string> {
  const folder = stage.path('bin')
  await mkdir(folder)
  for (const [name, program] of Object.entries({ tagseal: TAGSEAL, 'tagseal-server': TAGSEAL_SERVER })) {
    const text = `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`
    await writeFile(join(folder, name), text, { mode: 0o755 })
  }
  return folder
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

type Mention = { readonly command: string; readonly options: readonly string[] }

/** `tagseal …` in blocks and between backticks. Words in capitals are places for words. */
function mentioned(text: string): readonly Mention[] {
  const blocks = [...text.matchAll(/^```\w+\n(.*?)^```$/gms)].flatMap(([, block = '']) => block.split('\n'))
  const inline = [...text.matchAll(/(?<!`)`([^`\n]+)`(?!`)/g)].map(([, code = '']) => code)
  return [...blocks, ...inline].flatMap((line) =>
    [
      ...line.matchAll(
        /\btagseal ((?:--(?:home|server) \S+ )*)((?:(?:key|trust|delegation|root|policy|import|export) )?[a-z][a-z-]*)\b([^|;]*)/g,
      ),
    ].map(([, , command = '', rest = '']) => ({ command, options: rest.match(/(?<=\s)--[a-z-]+/g) ?? [] })),
  )
}

async function helpOf(command: string): Promise<string | undefined> {
  if (!helps.has(command)) {
    const { exit, stdout } = await runInside([...command.split(' '), '--help'])
    helps.set(command, exit === 0 ? stdout : undefined)
  }
  return helps.get(command)
}

async function whyNoPrograms(...programs: readonly string[]): Promise<string | undefined> {
  for (const program of programs) {
    const there = await run(program, [program === 'openssl' ? 'version' : '--version'])
      .then(() => true)
      .catch(() => false)
    if (!there) return `SKIPPED: ${program} is not installed`
  }
  return undefined
}
