import { constants } from 'node:fs'
import { access, realpath } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { runProgram } from './program.ts'

/** One installed docker command line: several may stand in one path. */
export type DockerClient = { readonly program: string; readonly version: string; readonly major: number }

/** Every docker client that is installed, in the order of the path. */
export async function findDockerClients(): Promise<readonly DockerClient[]> {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin']
  const found = await Promise.all(folders.map((folder) => executable(join(folder, 'docker'))))
  const programs = [...new Set(found)].filter((program) => program !== undefined)
  const clients = await Promise.all(programs.map(clientAt))
  return clients.filter((client) => client !== undefined)
}

async function executable(file: string): Promise<string | undefined> {
  try {
    await access(file, constants.X_OK)
    return await realpath(file)
  } catch {
    return undefined // not there, or not ours to run
  }
}

/** podman may stand in for docker, and is not it. */
async function clientAt(program: string): Promise<DockerClient | undefined> {
  const { stdout } = await runProgram(program, ['--version'])
  const [, version, major] = /^Docker version ((\d+)\.[^,\s]+)/.exec(stdout) ?? []
  return version === undefined ? undefined : { program, version, major: Number(major) }
}
