import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tagseal } from './cli.ts'
import type { CliOptions, Ran } from './cli.ts'
import type { BuiltImage, BuiltIndex, Stored } from './images.ts'
import { pushImage, startRegistry } from './registry.ts'
import type { TestRegistry } from './registry.ts'
import { startServer } from './server.ts'
import type { TestServer, TestServerOptions } from './server.ts'

/** Somebody with a home of their own: keys, pins and memory. */
export type Person = {
  readonly home: string
  readonly run: (args: readonly string[], options?: CliOptions) => Promise<Ran>
}

/** A trust server, a registry, and people who run the real program against both. */
export type Town = {
  readonly server: TestServer
  readonly registry: TestRegistry
  /** `127.0.0.1:40001/team/app`. */
  readonly repository: string
  readonly push: (tag: string, image: BuiltImage | BuiltIndex) => Promise<Stored>
  readonly person: () => Promise<Person>
  readonly close: () => Promise<void>
}

export async function openTown(
  options: TestServerOptions = {},
  program: typeof tagseal = tagseal,
  serve: typeof startServer = startServer,
): Promise<Town> {
  const [server, registry] = await Promise.all([serve(options), startRegistry()])
  const homes = await mkdtemp(join(tmpdir(), 'tagseal-homes-'))
  const repository = `${registry.host}/team/app`
  return {
    server,
    registry,
    repository,
    push: (tag, image) => pushImage(registry, 'team/app', tag, image),
    async person() {
      const home = await mkdtemp(join(homes, 'home-'))
      const env = { TAGSEAL_HOME: home, TAGSEAL_SERVER: server.url, HOME: home }
      return { home, run: (args, more) => program(args, { ...more, env: { ...env, ...more?.env } }) }
    },
    async close() {
      await Promise.all([server.stop(), registry.stop()])
      await Promise.all([server.remove(), rm(homes, { recursive: true, force: true })])
    },
  }
}

/** Every word after `tagseal trust add` of what `init` printed. */
export function pinFrom({ stdout }: Ran): readonly string[] {
  return stdout.trim().split('\n').at(-1)?.split(' ').slice(1) ?? []
}
