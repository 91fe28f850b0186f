export const words = "n = ";
