import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { hash } from '../../keys/digest.ts'
import { addPin, patternOf } from '../../client/trust/pins.ts'
import { openRepository, stateFolder } from '../../client/trust/repository.ts'
import type { RepositoryOptions } from '../../client/trust/repository.ts'
import { encodeHex, fileName, instant, tufCodec } from '../../tuf/index.ts'
import type { Metadata, RoleName } from '../../tuf/index.ts'
import { codeOf, tagseal } from './cli.ts'
import type { CliOptions, Ran } from './cli.ts'
import type { SigningKey } from './signing-key.ts'
import { Simulator, targetOf } from './simulator.ts'
import type { SimulatorOptions } from './simulator.ts'

export const REPOSITORY = 'registry.example.com/team/app'
/** The tag that everybody asks for, signed from the start. */
export const TAG = '1.0'

/** Answers a request for one file instead of the simulator; false leaves it to the simulator. */
export type Interference = (file: string, response: ServerResponse) => boolean

/** A repository served over HTTP, and two clients that pinned its first root: the library, and the command line. */
export type Lab = {
  readonly simulator: Simulator
  readonly url: string
  readonly folder: string
  interfere: Interference
  readonly library: (more?: Partial<RepositoryOptions>, tag?: string) => Promise<string>
  readonly command: (tag?: string, options?: VerifyOptions) => Promise<Ran>
  /** Every metadata file that a client keeps, by name. */
  readonly kept: (client: Client) => Promise<Record<string, string>>
  /** Where a client keeps them. */
  readonly state: (client: Client) => string
  readonly close: () => Promise<void>
}
export type Client = 'library' | 'command'
export type VerifyOptions = CliOptions & { readonly args?: readonly string[] }

export async function openLab(options: SimulatorOptions = {}, repositoryName = REPOSITORY): Promise<Lab> {
  const simulator = currentSimulator(options)
  const folder = await mkdtemp(join(tmpdir(), 'tagseal-attack-'))
  const server = createServer((request, response) => {
    const file = (request.url ?? '').split('/_trust/tuf/')[1] ?? ''
    if (!lab.interfere(file, response)) serve(simulator, file, response, alongFor(request, lab))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const env = { TAGSEAL_HOME: join(folder, 'home'), HOME: folder }
  const state = (client: Client) =>
    stateFolder(client === 'library' ? join(folder, 'library') : join(folder, 'home', 'state'), repositoryName)
  let pinned: Promise<void> | undefined
  const lab: Lab = {
    simulator,
    url,
    folder,
    interfere: INTERFERES_NOT,
    async library(more = {}, tag = TAG) {
      const pin = { kind: 'root', bytes: simulator.anchor() } as const
      const place = { repository: repositoryName, server: url, stateDir: join(folder, 'library') }
      const repository = openRepository({ ...place, pin, ...more } as RepositoryOptions)
      try {
        return (await repository.resolve(tag)).digest
      } finally {
        repository.close()
      }
    },
    async command(tag = TAG, options = {}) {
      const pin = { kind: 'root', bytes: simulator.anchor() } as const
      const rule = { pattern: patternOf(repositoryName), pin, server: url }
      pinned ??= addPin(join(folder, 'home', 'trust.json'), rule)
      await pinned
      return await tagseal(['verify', `${repositoryName}:${tag}`, '--json', ...(options.args ?? [])], {
        ...options,
        env: { ...env, ...options.env },
      })
    },
    state,
    kept: async (client) => await filesOf(state(client)),
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await rm(folder, { recursive: true, force: true })
    },
  }
  return lab
}

export type Attack = {
  /** Before any client has looked. */
  readonly before?: (simulator: Simulator) => void
  /** After both clients have looked once and believed what they saw. */
  readonly attack: (simulator: Simulator, lab: Lab) => void
  readonly code: string
  /** Files that were good and may have been stored before the refusal. */
  readonly stores?: readonly string[]
  /** Not run on the command line as well, to save the time of two processes. */
  readonly libraryOnly?: boolean
  /** Files that the library loses before it looks again. */
  readonly wipe?: readonly string[]
  readonly tag?: string
  readonly exit?: number
  readonly options?: SimulatorOptions
  readonly library?: Partial<RepositoryOptions>
  /** What an honest repository publishes next, after which the tag must resolve again. */
  readonly after?: (simulator: Simulator, lab: Lab) => void
}

/** Runs each attack against both clients: the code is right, and what they keep stays as it was. */
export async function refuseAll(t: Test, cases: Readonly<Record<string, Attack>>): Promise<void> {
  for (const [name, attack] of Object.entries(cases)) {
    await t.test(`refuses ${name}`, async (t) => await refuse(t, attack))
  }
}

async function refuse(t: Test, { before, attack, stores = [], after, ...rest }: Attack): Promise<void> {
  const { code, tag = TAG, exit = 1, libraryOnly = false, wipe = [] } = rest
  const lab = await openLab(rest.options)
  t.teardown(lab.close)
  before?.(lab.simulator)
  await lab.library()
  if (!libraryOnly) t.equal((await lab.command()).code, 0, 'the command line believed the honest repository')
  const clients: readonly Client[] = libraryOnly ? ['library'] : ['library', 'command']
  const kept = await Promise.all(clients.map((client) => lab.kept(client)))
  attack(lab.simulator, lab)
  for (const name of wipe) await rm(join(lab.state('library'), name))
  await t.rejects(lab.library(rest.library, tag), { code }, 'by the library')
  if (!libraryOnly) {
    const ran = await lab.command(tag)
    t.same([ran.code, codeOf(ran)], [exit, code], `by the command line: ${ran.stderr}`)
    t.notMatch(ran.stdout + ran.stderr, /\n\s+at /, 'without a stack trace')
  }
  for (const [i, client] of clients.entries()) {
    t.same(
      without(await lab.kept(client), [...stores, ...wipe]),
      without(kept[i] ?? {}, [...stores, ...wipe]),
      `the ${client} stored nothing of it`,
    )
  }
  if (after === undefined) return
  after(lab.simulator, lab)
  await t.resolves(lab.library({}, TAG), 'and the library takes the next honest update')
  if (!libraryOnly) t.equal((await lab.command()).code, 0, 'and so does the command line')
}

/** The same body, good until another instant. */
export function until<M extends Metadata>(body: M, milliseconds: number): M {
  const second = Math.floor(milliseconds / 1000) * 1000
  return { ...body, expires: instant(second), expiresText: tufCodec.date(second) }
}

/** A file whose `signed` is this very text, signed as it stands: what no codec of ours would write. */
export function sealText(text: string, signers: readonly SigningKey[]): Uint8Array {
  const payload = Buffer.from(text)
  const signatures = signers.map(({ id, sign }) => ({ keyid: id, sig: encodeHex(sign(payload)) }))
  return Buffer.from(`{"signatures":${JSON.stringify(signatures)},"signed":${text}}`)
}

/** Replaces the newest file of a role by one that its own keys sign over the edited text. */
export function rewrite(
  simulator: Simulator,
  role: RoleName,
  edit: (text: string) => string,
  signers = simulator.signers.get(role) ?? [],
): void {
  const served = Buffer.from(simulator.newest(role)).toString()
  const text = served.slice(served.indexOf('"signed":') + '"signed":'.length, -1)
  const edited = edit(text)
  if (edited === text) throw new Error(`nothing of ${role} was edited`)
  const bytes = sealText(edited, signers)
  const version = /"version":([0-9]+)\}$/.exec(text)?.[1] ?? ''
  for (const name of [fileName(role), `${version}.${fileName(role)}`]) {
    if (simulator.files.has(name)) simulator.files.set(name, bytes)
  }
}

function currentSimulator(options: SimulatorOptions): Simulator {
  const simulator = new Simulator(options)
  simulator.now = Date.now()
  simulator.publishRoot()
  simulator.publishTargets({ set: new Map([[TAG, targetOf('one')]]) })
  simulator.release()
  return simulator
}

function serve(simulator: Simulator, file: string, response: ServerResponse, along: string | undefined): void {
  const bytes = simulator.files.get(file)
  const brought = bytes === undefined && along !== undefined ? simulator.files.get(along) : undefined
  response.writeHead(bytes === undefined ? 404 : 200, {
    'content-type': 'application/json',
    ...(brought && { 'x-tagseal-along': `${along};sha256=${hash('sha256', brought)}` }),
  })
  response.end(bytes ?? brought)
}

const INTERFERES_NOT: Interference = () => false

/** The command line is served as by a server of ours, which sends a timestamp along; the library as by a mirror. */
function alongFor({ headers }: IncomingMessage, { interfere }: Lab): string | undefined {
  const isCommand = headers['user-agent']?.startsWith('tagseal/') === true
  const wished = headers['x-tagseal-along']
  return isCommand && interfere === INTERFERES_NOT && typeof wished === 'string' ? wished : undefined
}

async function filesOf(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json')).toSorted()
  const read = async (name: string) => [name, (await readFile(join(folder, name))).toString('latin1')] as const
  return Object.fromEntries(await Promise.all(names.map(read)))
}

function without(files: Record<string, string>, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(files).filter(([name]) => !names.includes(name)))
}
