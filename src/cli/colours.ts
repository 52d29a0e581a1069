import picocolors from 'picocolors'

export type Colours = ReturnType<typeof picocolors.createColors>

export const coloursFor = (hasColours: boolean): Colours => picocolors.createColors(hasColours)
