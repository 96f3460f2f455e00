/** The bytes of padded standard base64, or undefined where another text says the same: no blanks, no stray bits. */
export function decodeBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  const bytes = new Uint8Array((text.length / 4) * 3 - padding)
  let [bits, left, at] = [0, 0, 0]
  for (let i = 0; i < text.length - padding; i++) {
    const value = VALUES[text.charCodeAt(i)] ?? NONE
    if (value === NONE) return undefined
    bits = ((bits << 6) | value) & 0xffff
    left += 6
    if (left < 8) continue
    left -= 8
    bytes[at++] = bits >> left
  }
  return (bits & ((1 << left) - 1)) === 0 ? bytes : undefined
}

const NONE = 64
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const VALUES = Uint8Array.from({ length: 128 }, (_, code) => {
  const value = ALPHABET.indexOf(String.fromCharCode(code))
  return value < 0 ? NONE : value
})

export function encodeBase64(bytes: Uint8Array): string {
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary)
}
