/** What is left to do where others hold enough of the root keys: signatures cannot tell them from the owner. */
import { pinCommand } from './pin-command.ts'

export type RootLoss = {
  readonly repository: string
  readonly server: string
  /** The same as consumers type it. */
  readonly typed: string
  /** The keys that root has by now; undefined where its owner could not replace them. */
  readonly now: { readonly keyids: readonly string[]; readonly threshold: number } | undefined
}

/** The commands, in their order, with a line of reason before each. */
export function repinning(loss: RootLoss): readonly string[] {
  return loss.now === undefined ? foundingAnew(loss) : pinningAnew(loss, loss.now)
}

function pinningAnew(
  { repository, server, typed }: RootLoss,
  { keyids, threshold }: { readonly keyids: readonly string[]; readonly threshold: number },
): readonly string[] {
  const pin = pinCommand(repository, keyids, threshold, typed)
  return [
    `# what is lost: clients that meet a root of the thief before yours believe it. Yours is on ${server} already.`,
    `# 1. whatever else the thief may have signed there: new keys, and a look at what changed`,
    `tagseal rotate ${repository} targets --compromised --since TIME`,
    `tagseal rotate ${repository} timestamp --compromised`,
    `# 2. on every machine that pins ${repository}, for one that believes the thief forgets him by it`,
    pin,
    `# 3. on each of them: it says the version of your root, or refuses`,
    `tagseal status ${repository}`,
  ]
}

function foundingAnew({ repository, server, typed }: RootLoss): readonly string[] {
  return [
    `# what is lost: the root of ${repository} on ${server} is not yours to sign any more, or not from here.`,
    `# 1. a server never lets go of a root, so begin on another folder, under the old address`,
    `tagseal-server --data NEW_DIR`,
    `# 2. more root keys than the threshold this time, in different hands; it prints the new pin`,
    `tagseal init ${repository} --root-key ID --root-key ID --root-key ID --root-threshold 2`,
    `# 3. the tags that shall go on, by digests that you know to be good`,
    `tagseal sign ${repository}:TAG --digest DIGEST`,
    `# 4. on every machine that pins ${repository}: the line that init printed`,
    `tagseal trust add ${repository} --key ID --key ID --key ID --threshold 2 --server ${typed}`,
  ]
}
