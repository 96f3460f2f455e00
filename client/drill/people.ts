/** The people of a drill: homes of their own below one folder, and consumers whom a thief may stand in front of. */
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import type { AnyInput, CommandModule } from '../commands/declare.ts'
import { openContext } from '../context.ts'
import type { Context } from '../context.ts'
import { openHttp } from '../http.ts'
import type { Http, HttpRequest } from '../http.ts'
import { ALONG } from '../trust/fetch.ts'
import { publish } from '../publish/publish.ts'
import { openDesk } from '../publish/desk.ts'
import { planSigning } from '../publish/tags.ts'
import { openTerminal } from '../terminal.ts'
import { openRepository } from '../trust/repository.ts'
import type { RoleName } from '../../tuf/index.ts'
import type { Anchor } from '../trust/anchor.ts'
import { hash } from '../../keys/digest.ts'
import { ensureFolder } from '../../keys/folder.ts'

/** Where a drill is played. */
export type Place = {
  readonly folder: string
  readonly url: string
  readonly repository: string
  /** Milliseconds since 1970; it goes by itself. */
  readonly clock: () => number
}

/** Somebody with keys. Whoever makes one closes it. */
export function personIn(outer: Context, { folder, url, clock }: Place, name: string): Context {
  const quiet = { write: () => undefined }
  const terminal = openTerminal({
    stdout: quiet,
    stderr: quiet,
    quiet: true,
    verbose: false,
    env: {},
    monotonic: outer.monotonic,
  })
  const nothing = {
    ca: undefined,
    tokenFile: undefined,
    token: undefined,
    passphraseFile: undefined,
    pinFile: undefined,
  }
  const settings = {
    ...nothing,
    home: join(folder, name),
    server: url,
    pkcs11Module: undefined,
    registryCa: undefined,
    plainHttp: false,
    given: { home: undefined, ca: undefined },
    json: true,
    quiet: true,
    verbose: false,
  }
  const { monotonic, signal } = outer
  return openContext(settings, { terminal, env: {}, clock, monotonic, signal, homeDirectory: folder, version: 'drill' })
}

type Words = {
  readonly operands?: readonly string[]
  readonly options?: Readonly<Record<string, string | readonly string[] | number | true>>
}

/** A command as the program runs it. Its document. */
export async function play(person: Context, module: CommandModule, words: Words): Promise<unknown> {
  const names = Object.keys(module.operands)
  const [given, options] = [words.operands ?? [], new Map(Object.entries(words.options ?? {}))]
  const input: AnyInput = {
    one: (name) => given[names.indexOf(name)] ?? '',
    many: (name) => given.slice(names.indexOf(name)),
    flag: (name) => options.get(name) === true,
    text: (name) => textOf(options.get(name)),
    list: (name) => listOf(options.get(name)),
    count: (name) => numberOf(options.get(name)),
  }
  return (await module.run(person, input)).document
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined
}

function listOf(value: string | readonly string[] | number | true | undefined): readonly string[] {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' ? value : []
}

/** Signs tags, each meaning the digest of a word: no image is needed for that. */
export async function signTags(
  person: Context,
  repository: string,
  tags: Readonly<Record<string, string>>,
  role?: RoleName,
): Promise<void> {
  const desk = await openDesk(person, repository)
  const targets = Object.entries(tags).map(
    ([tag, word]) => [tag, { length: 1, hashes: new Map([['sha256', digestOf(word)]]), unknown: new Map() }] as const,
  )
  const wish = {
    repository,
    tags: new Map(targets),
    role,
    canSign: desk.keyring.canSign,
    canHelp: desk.keyring.canHelp,
    clock: person.clock,
    stillSo: async () => {},
    placed: () => undefined,
  }
  await publish(desk, planSigning(wish)).finally(desk.close)
}

export function digestOf(word: string): string {
  return hash('sha256', Buffer.from(word))
}

/** Files that somebody shows in the place of those of the server, by name; without bytes: he says that there is none. */
export type Shown = ReadonlyMap<string, Uint8Array | undefined>

export type Consumer = {
  /** The word that a tag means to this consumer, or the code of the refusal. */
  readonly asks: (tag: string, shown?: Shown, later?: number) => Promise<string>
  /** Another one with the same memory. */
  readonly copy: (name: string) => Promise<Consumer>
  readonly repin: (pin: Anchor) => Consumer
}

/** The words that are signed in a drill, so that a digest can be told as what it stands for. */
export const WORDS = ['good', 'better', 'evil'] as const

export function consumerIn(place: Place, pin: Anchor, name: string): Consumer {
  const stateDir = join(place.folder, 'consumers', name)
  return {
    async asks(tag, shown = new Map(), later = 0) {
      const http = showing(openHttp(), shown)
      const { repository, url: server, clock } = place
      const opened = openRepository({ repository, pin, server, stateDir, http, clock: () => clock() + later })
      try {
        const { digest } = await opened.resolve(tag)
        return WORDS.find((word) => digest === `sha256:${digestOf(word)}`) ?? digest
      } catch (error) {
        if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code
        throw error
      } finally {
        http.close()
      }
    },
    async copy(other) {
      const to = join(place.folder, 'consumers', other)
      ensureFolder(stateDir)
      await cp(stateDir, to, { recursive: true })
      return consumerIn(place, pin, other)
    },
    repin: (next) => consumerIn(place, next, name),
  }
}

/** What he shows is what is asked for by its name. */
function withoutAlong(request: HttpRequest): HttpRequest {
  const headers = Object.entries(request.headers ?? {}).filter(([name]) => name !== ALONG)
  return { ...request, headers: Object.fromEntries(headers) }
}

/** Whoever stands between a consumer and the server. */
function showing({ send, close }: Http, shown: Shown): Http {
  return {
    close,
    async send(request) {
      const name = decodeURIComponent(request.url.pathname.split('/').at(-1) ?? '')
      if (!shown.has(name)) return await send(shown.size === 0 ? request : withoutAlong(request))
      const bytes = shown.get(name)
      const body = (async function* () {
        yield bytes ?? new Uint8Array()
      })()
      return {
        status: bytes === undefined ? 404 : 200,
        header: () => undefined,
        headerValues: () => [],
        body,
        discard: () => undefined,
      }
    },
  }
}
