import type { NotaryTown } from './notary-town.ts'

export type Outcome = { readonly code: number | null; readonly printed: readonly string[] }

/** Takes lines of a person and a command; GUN, FILE, OTHER, ALICE and BOB stand for what they are in that town. */
export async function runner(town: NotaryTown): Promise<(line: string) => Promise<Outcome>> {
  const [alice, bob] = [await town.signer('alice'), await town.signer('bob', 'public key')]
  for (const name of ['a', 'b']) await town.user(name).run(`key import ${alice.key} --role user`)
  const paths: Record<string, string> = {
    GUN: 'example.com/app',
    FILE: town.file('file', 'hello\n'),
    OTHER: town.file('other', 'other\n'),
    ALICE: alice.pem,
    BOB: bob.pem,
  }
  return async (line) => {
    const [name = '', command = ''] = line.split(': ')
    const filled = command.replace(/ yes$/, '').replace(/\b[A-Z]{3,}\b/g, (word) => paths[word] ?? word)
    const { code, stdout, stderr } = await town.user(name).try(filled, command.endsWith(' yes') ? 'yes\n' : undefined)
    return { code, printed: normalised(`${stdout}${stderr}`, town.url) }
  }
}

/** Without what is another one each time. What the server says of a refusal is its own: that it was one is not. */
function normalised(text: string, url: string): readonly string[] {
  return text
    .replaceAll(new URL(url).host, 'SERVER')
    .replaceAll(/time="[^"]*"/g, 'TIME')
    .replaceAll(/\/tmp\/tagseal-notary-town-\w+/g, 'DIR')
    .replaceAll(/sha\d+ (checksum .* expected) [0-9a-f]+/g, '$1') // Go compares hashes in any order
    .replaceAll(/\b[0-9a-f]{64}\b/g, 'ID')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .toSorted()
}
