export const fr = {
  joining: 'Inscrits par eux-mêmes, à relier',
  quiet: 'Sans réponse, mis en veille',
  born: (day: string) => `né(e) le ${day}`,
  by: (who: string) => `inscrit par ${who}`,
  reference: 'Référence dans le DME',
  link: 'Relier',
  search: 'Chercher dans le DME',
  found: (n: number) => (n === 0 ? 'Personne n’y a ce nom, cette naissance et ce contact.' : n === 1 ? 'Une seule personne correspond.' : `${n} personnes correspondent\u00a0: vérifiez.`),
  cannot: 'Le DME ne peut pas être cherché pour cette personne.',
  refuse: 'Refuser',
  sure: 'Oui, retirer de la liste',
  linked: (name: string) => `${name} recevra maintenant des offres.`,
  refused: (name: string) => `${name} n’est pas sur la liste. Appelez cette personne pour le lui dire.`,
  asked: (when: string) => `dernière question ${when}`,
  poster: 'Affiche et code QR de l’inscription',
};
export type Joins = typeof fr;
