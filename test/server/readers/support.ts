import { setTimeout as sleep } from 'node:timers/promises'
import { keyOf, REPO, type KeyObject } from '../support/app.ts'
import { multipart, newOwner, setTag, signBoth, signTargets, type Files, type Owner } from '../support/party.ts'
import { startProcess, type ServerProcess } from '../support/process.ts'

export const FILES = `/v2/${REPO}/_trust/tuf`

/** The process ids of its readers, in the order in which they began to accept connections. */
export function readersOf(server: ServerProcess): readonly number[] {
  return [...server.log().matchAll(/"reader (\d+) accepts connections"/g)].map(([, pid]) => Number(pid))
}

export async function startWithReaders(
  args: readonly string[],
  many = 2,
  env: Record<string, string> = {},
): Promise<ServerProcess> {
  const server = await startProcess([...args, '--readers', String(many)], { env })
  await until(() => readersOf(server).length === many)
  return server
}

export async function until(happened: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await happened())) await sleep(20)
}

export function runs(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

export async function createRepository(url: string): Promise<Owner> {
  const key = async (role: string) => keyOf((await (await fetch(`${url}${FILES}/${role}.key`)).json()) as KeyObject)
  const owner = await newOwner({ timestamp: await key('timestamp'), snapshot: await key('snapshot') }, Date.now(), [
    '1',
  ])
  await send(url, await signBoth(owner))
  return owner
}

/** The next targets, acknowledged when it resolves. */
export async function publishNext(url: string, owner: Owner): Promise<void> {
  setTag(owner, Date.now(), 'x', String(owner.targets.version))
  await send(url, { targets: await signTargets(owner) })
}

async function send(url: string, files: Files): Promise<void> {
  const { payload, headers } = multipart(files)
  const answer = await fetch(`${url}${FILES}/`, { method: 'POST', body: new Uint8Array(payload), headers })
  if (answer.status !== 200) throw new Error(await answer.text())
}
