import type { Command } from 'commander'

/** Where the server of a subcommand is. */
export type Place = { readonly data?: string; readonly config?: string; readonly kekFile?: string }

export function place(command: Command): Command {
  return command
    .exitOverride()
    .option('--config <file>', 'settings as one JSON object')
    .option('--data <dir>', "the server's folder")
}

/** Before the subcommand or after it: the program has options of the same names, and takes them wherever they stand. */
export function placeOf(command: Command): Place {
  return command.optsWithGlobals<Place>()
}
