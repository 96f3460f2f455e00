/** A server, an owner, consumers and a thief on one network, all in this process: the client's own code under its own clock. */
import type { Server } from 'node:http'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { settingsFrom } from '../../client/commands/globals.ts'
import { openContext } from '../../client/context.ts'
import type { Context } from '../../client/context.ts'
import { openDesk } from '../../client/publish/desk.ts'
import { publish } from '../../client/publish/publish.ts'
import { planRevoking, planSigning } from '../../client/publish/tags.ts'
import { run } from '../../client/run.ts'
import { openTerminal } from '../../client/terminal.ts'
import { hash } from '../../keys/digest.ts'
import type { RoleName } from '../../tuf/index.ts'
import type { Settings } from '../../server/config.ts'
import { openTestServer } from '../server/support/app.ts'
import type { TestServer } from '../server/support/app.ts'

export const REPOSITORY = 'registry.example.com/team/app'

export type Said = { readonly code: number; readonly stdout: string; readonly stderr: string }

/** Somebody with a home of their own. */
export type Person = {
  readonly home: string
  /** The command line, in this process; the server of the lab is named in its environment. */
  readonly run: (args: readonly string[], env?: Readonly<Record<string, string>>) => Promise<Said>
  /** The same, told to end when the server has got that many requests. */
  readonly interrupted: (args: readonly string[], server: Server, requests: number) => Promise<Said>
  /** Signs tags without a registry: no image is needed to say what a digest is. */
  readonly sign: (tags: Readonly<Record<string, string>>, options?: SignOptions) => Promise<void>
  readonly revoke: (...tags: readonly string[]) => Promise<void>
  readonly context: () => Context
}
export type SignOptions = {
  readonly role?: RoleName
  readonly repository?: string
  readonly keys?: readonly string[]
}

export type IncidentLab = {
  readonly server: TestServer
  readonly url: string
  /** Milliseconds since 1970, for everybody. */
  readonly clock: { now: number }
  /** How many milliseconds the server's answers are dated off that clock. */
  readonly apart: { by: number }
  readonly person: () => Promise<Person>
}

export async function openIncidentLab(
  t: Test,
  flags: Partial<Record<keyof Settings, string | number | boolean>> = {},
): Promise<IncidentLab> {
  const clock = { now: Date.now() }
  const server = await openTestServer(t, flags, clock)
  await server.app.listen({ host: '127.0.0.1', port: 0 })
  const address = server.app.server.address()
  const apart = { by: 0 }
  const date = () => new Date(clock.now + apart.by).toUTCString()
  server.app.server.prependListener('request', (_request, response) => void response.setHeader('date', date()))
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  const homes = await mkdtemp(join(tmpdir(), 'tagseal-incident-'))
  t.teardown(() => rm(homes, { recursive: true, force: true }))
  return {
    server,
    url,
    clock,
    apart,
    person: async () => personIn(t, await mkdtemp(join(homes, 'home-')), url, clock),
  }
}

function personIn(t: Test, home: string, url: string, clock: { now: number }): Person {
  const env = { TAGSEAL_HOME: home, TAGSEAL_SERVER: url, HOME: home }
  const surroundings = (written: { out: string; err: string }, more: Readonly<Record<string, string>> = {}) => ({
    env: { ...env, ...more },
    homeDirectory: home,
    stdout: { write: (text: string) => void (written.out += text) },
    stderr: { write: (text: string) => void (written.err += text) },
    clock: () => clock.now,
    monotonic: () => performance.now(),
    signal: new AbortController().signal,
    version: '0.0.0',
  })
  const context = () => {
    const around = surroundings({ out: '', err: '' })
    const globals = {
      one: () => '',
      many: () => [],
      flag: () => false,
      text: () => undefined,
      list: () => [],
      count: () => undefined,
    }
    const opened = openContext(settingsFrom(globals, around.env), {
      ...around,
      terminal: openTerminal({ ...around, quiet: true, verbose: false }),
    })
    t.teardown(opened.close)
    return opened
  }
  return {
    home,
    async run(args, more) {
      const written = { out: '', err: '' }
      const code = await run(args, surroundings(written, more))
      return { code, stdout: written.out, stderr: written.err }
    },
    async interrupted(args, server, requests) {
      const interrupt = new AbortController()
      let left = requests
      const count = () => {
        left -= 1
        if (left === 0) interrupt.abort()
      }
      server.on('request', count)
      const written = { out: '', err: '' }
      try {
        const code = await run(args, { ...surroundings(written), signal: interrupt.signal })
        return { code, stdout: written.out, stderr: written.err }
      } finally {
        server.off('request', count)
      }
    },
    async sign(tags, { role, repository = REPOSITORY, keys = [] } = {}) {
      const opened = context()
      const desk = await openDesk(opened, repository, { keys })
      const targets = Object.entries(tags).map(([tag, seed]) => [tag, imageOf(seed)] as const)
      await publish(
        desk,
        planSigning({
          repository,
          tags: new Map(targets),
          role,
          canSign: desk.keyring.canSign,
          canHelp: desk.keyring.canHelp,
          clock: opened.clock,
          stillSo: async () => {},
          placed: () => {},
        }),
      ).finally(desk.close)
      clock.now += 1000
    },
    async revoke(...tags) {
      const opened = context()
      const desk = await openDesk(opened, REPOSITORY)
      const wish = { tags: new Set(tags), canSign: desk.keyring.canSign, clock: opened.clock, told: () => {} }
      await publish(desk, planRevoking(wish)).finally(desk.close)
      clock.now += 1000
    },
    context,
  }
}

function imageOf(seed: string) {
  return { length: 1000, hashes: new Map([['sha256', digestHex(seed)]]), unknown: new Map() }
}

function digestHex(seed: string): string {
  return hash('sha256', Buffer.from(seed))
}

export function digestOf(seed: string): string {
  return `sha256:${digestHex(seed)}`
}

/** A repository with one signed tag, `1.0` meaning `good`; and who owns it. */
export async function founded(t: Test, options: FoundingOptions = {}): Promise<Founded> {
  const lab = await openIncidentLab(t, options.flags)
  const owner = await lab.person()
  const made = await owner.run(['init', REPOSITORY, '--no-passphrase', ...((await options.init?.(owner)) ?? [])])
  if (made.code !== 0) throw new Error(made.stderr)
  lab.clock.now += 1000
  await owner.sign({ '1.0': 'good' })
  const pin = made.stdout.trim().split('\n').at(-1)?.split(' ').slice(1) ?? []
  const consumer = async () => {
    const person = await lab.person()
    await succeeds(person, pin)
    return person
  }
  return { ...lab, owner, pin, consumer }
}
export type FoundingOptions = {
  readonly init?: (owner: Person) => readonly string[] | Promise<readonly string[]>
  readonly flags?: Partial<Record<keyof Settings, string | number | boolean>>
}
export type Founded = IncidentLab & {
  readonly owner: Person
  /** The words after `tagseal` that pin the repository. */
  readonly pin: readonly string[]
  /** Somebody who has the pin, and has seen nothing yet. */
  readonly consumer: () => Promise<Person>
}

/** Runs it and expects 0. */
export async function succeeds(person: Person, args: readonly string[]): Promise<string> {
  const ran = await person.run(args)
  if (ran.code !== 0) throw new Error(`tagseal ${args.join(' ')}: ${ran.code}\n${ran.stderr}`)
  return ran.stdout
}

/** What a consumer gets for a tag: the digest's seed as it was named, or the code of the refusal. */
export async function verdictOn(person: Person, tag: string, env?: Readonly<Record<string, string>>): Promise<string> {
  const ran = await person.run(['verify', `${REPOSITORY}:${tag}`], env)
  if (ran.code === 0) return ran.stdout.trim().split('@')[1] ?? ''
  return /^error: .*\(([A-Z_]+)\)$/m.exec(ran.stderr)?.[1] ?? ran.stderr
}

/** Another home with a copy of one private key of this one. */
export async function steal(lab: Founded, from: Person, keyStart: string): Promise<{ thief: Person; id: string }> {
  const thief = await lab.consumer()
  const keys = JSON.parse(await succeeds(from, ['key', 'list', '--json'])) as { keys: { id: string; name?: string }[] }
  const id = keys.keys.find((key) => key.id === keyStart || key.name?.startsWith(keyStart) === true)?.id ?? ''
  const pem = await succeeds(from, ['key', 'export', id, '--private', '--no-passphrase'])
  await mkdir(thief.home, { recursive: true })
  await writeFile(join(thief.home, 'stolen.pem'), pem, { mode: 0o600 })
  await succeeds(thief, ['key', 'import', join(thief.home, 'stolen.pem'), '--no-passphrase', '--name', 'stolen'])
  return { thief, id }
}
