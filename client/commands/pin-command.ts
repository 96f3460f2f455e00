/** What a consumer types to trust a repository by its root keys. */
export function pinCommand(repository: string, keyids: readonly string[], threshold: number, server: string): string {
  const keys = keyids.map((id) => `--key ${id}`).join(' ')
  const need = threshold === 1 ? '' : ` --threshold ${threshold}`
  return `tagseal trust add ${repository} ${keys}${need} --server ${server}`
}
