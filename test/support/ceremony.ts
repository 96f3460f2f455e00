/** Holders of keys in different places: homes and desks that share nothing, and files that are carried between them. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { Test } from 'tap'
import { Updater } from 'tuf-js'
import { run } from '../../client/run.ts'
import { openTestServer } from '../server/support/app.ts'
import { codeOf, tagseal } from './cli.ts'
import { buildImage } from './images.ts'
import { pushImage, startRegistry } from './registry.ts'

/** What one run of the program came to, in this process: a ceremony has dozens of them. */
export type Came = {
  readonly exit: number
  readonly code: string | undefined
  readonly stdout: string
  readonly stderr: string
}

export type Holder = {
  readonly name: string
  readonly home: string
  /** A file on this holder's desk. */
  readonly path: (file: string) => string
  /** Offline unless `online`: then the server is named. */
  readonly run: (args: readonly string[], env?: Readonly<Record<string, string>>) => Promise<Came>
  readonly online: Holder['run']
  /** The same in a process of its own: what a token's module looks for is in the environment of the process. */
  readonly apart: Holder['run']
}

export type Ceremony = {
  readonly url: string
  readonly repository: string
  /** Where the clock of everybody stands; write it to move time. */
  readonly clock: { now: number }
  readonly holder: (name: string) => Holder
  /** Copies a file from one desk to another, and says where it is then. */
  readonly carry: (from: Holder, file: string, to: Holder, as?: string) => string
  /** Pushes an image, and gives its digest. */
  readonly push: (tag: string) => Promise<string>
}

/** A server and a registry, and nobody yet who knows them. */
export async function openCeremony(t: Test): Promise<Ceremony> {
  const clock = { now: Date.now() + 5000 } // certificates that openssl makes meanwhile have begun by then
  const [server, registry] = [await openTestServer(t, {}, clock), await startRegistry()]
  t.teardown(registry.stop)
  const url = await server.app.listen({ port: 0, host: '127.0.0.1' })
  const repository = `${registry.host}/team/app`
  return {
    url,
    repository,
    clock,
    holder: (name) => openHolder(t, name, url, clock),
    carry(from, file, to, as = file) {
      copyFileSync(from.path(file), to.path(as))
      return to.path(as)
    },
    push: async (tag) => (await pushImage(registry, 'team/app', tag, buildImage({ layers: [{ tag }] }))).digest,
  }
}

function openHolder(t: Test, name: string, url: string, clock: { readonly now: number }): Holder {
  const place = mkdtempSync(join(tmpdir(), `tagseal-${name}-`))
  t.teardown(() => rmSync(place, { recursive: true, force: true }))
  const [home, desk] = [join(place, 'home'), join(place, 'desk')]
  mkdirSync(desk)
  const env = { TAGSEAL_HOME: home, HOME: place }
  return {
    name,
    home,
    path: (file) => join(desk, basename(file)),
    run: (args, more = {}) => runHere(args, { ...env, ...more }, clock),
    online: (args, more = {}) => runHere(args, { ...env, TAGSEAL_SERVER: url, ...more }, clock),
    async apart(args, more = {}) {
      const ran = await tagseal(args, { env: { ...env, ...more } })
      return { exit: ran.code ?? -1, code: codeOf(ran), stdout: ran.stdout, stderr: ran.stderr }
    },
  }
}

async function runHere(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  clock: { readonly now: number },
): Promise<Came> {
  const [out, err]: [string[], string[]] = [[], []]
  const exit = await run(argv, {
    env: { PATH: process.env['PATH'], ...env },
    homeDirectory: env['HOME'],
    stdout: { write: (text) => out.push(text) },
    stderr: { write: (text) => err.push(text) },
    clock: () => clock.now,
    monotonic: () => performance.now(),
    signal: new AbortController().signal,
    version: '0',
  })
  const [stdout, stderr] = [out.join(''), err.join('')]
  return { exit, stdout, stderr, code: codeOf({ code: exit, stdout, stderr }) }
}

/** Makes a key on this holder's machine, and leaves its public half on the desk: `NAME=FILE`. */
export async function makeKey(holder: Holder, name = holder.name): Promise<string> {
  const file = holder.path(`${name}.pub.pem`)
  const made = await holder.run(['key', 'generate', '--name', name, '--no-passphrase'])
  const exported = await holder.run(['key', 'export', made.stdout.trim()])
  if (exported.exit !== 0) throw new Error(exported.stderr)
  writeFileSync(file, exported.stdout)
  return file
}

/** A tuf-js client that was given the repository's first root. */
export async function stockClient(t: Test, { url, repository }: Ceremony): Promise<Updater> {
  const metadataBaseUrl = `${url}/v2/${repository}/_trust/tuf`
  const metadataDir = join(t.testdir(), 'metadata')
  mkdirSync(metadataDir)
  const first = await fetch(`${metadataBaseUrl}/1.root.json`)
  writeFileSync(join(metadataDir, 'root.json'), Buffer.from(await first.arrayBuffer()))
  const updater = new Updater({ metadataDir, metadataBaseUrl })
  await updater.refresh()
  return updater
}

export function done(t: Test, came: Came): Came {
  t.equal(came.exit, 0, came.exit === 0 ? 'done' : came.stderr)
  return came
}

/** Every word after `tagseal` of the pin that was printed. */
export function pinIn({ stdout }: Came): readonly string[] {
  return stdout.trim().split('\n').at(-1)?.split(' ').slice(1) ?? []
}
