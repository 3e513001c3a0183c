//! The word lists stories are told from: one for training, one for probes, with no word in common.

/// The content words of one split. Every list holds ordinary words of children's stories.
pub struct Lexicon {
    /// Names of girls.
    pub girls: &'static [&'static str],
    /// Names of boys.
    pub boys: &'static [&'static str],
    /// Things one can hold or put away.
    pub objects: &'static [&'static str],
    /// Things one wears.
    pub clothes: &'static [&'static str],
    /// Things one eats.
    pub foods: &'static [&'static str],
    /// Animals.
    pub animals: &'static [&'static str],
    /// Places one is in ("in the barn") and goes to.
    pub places: &'static [&'static str],
    /// What objects are put in.
    pub containers: &'static [&'static str],
    /// Colours.
    pub colours: &'static [&'static str],
    /// Other adjectives of objects.
    pub materials: &'static [&'static str],
    /// Sounds.
    pub sounds: &'static [&'static str],
    /// Moves of a dance, in the form of a command.
    pub steps: &'static [&'static str],
    /// Shapes.
    pub shapes: &'static [&'static str],
    /// Verbs: the base form, a space, and the past.
    pub actions: &'static [(&'static str, &'static str)],
    /// Grown-ups, who ask and answer and are nowhere in particular.
    pub grown: &'static [&'static str],
}

impl Lexicon {
    /// Every word of every list but that of the grown-ups.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        let (people, things) = ([self.girls, self.boys], [self.objects, self.clothes, self.foods, self.animals]);
        let (where_, like) = ([self.places, self.containers], [self.colours, self.materials, self.sounds, self.shapes]);
        let lists = people.into_iter().chain(things).chain(where_).chain(like).chain([self.steps]);
        lists.flatten().copied().chain(self.actions.iter().flat_map(|a| [a.0, a.1]))
    }
}
