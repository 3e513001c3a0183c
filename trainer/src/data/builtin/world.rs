//! The world a story happens in: where everyone is, who holds what, what is broken, who feels how.

/// A character, by order of appearance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who(pub u8);

/// An object, by order of appearance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item(pub u8);

/// A place, by order of appearance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(pub u8);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feeling {
    Happy,
    Proud,
    Sad,
    Scared,
    Angry,
    Sorry,
    Lonely,
}

impl Feeling {
    pub fn is_bad(self) -> bool {
        !matches!(self, Feeling::Happy | Feeling::Proud)
    }
}

/// One happening. Its preconditions are those [`World::apply`] checks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// A character enters the story at a place.
    Enter {
        who: Who,
        at: Place,
    },
    /// An object exists and someone holds it.
    Own {
        who: Who,
        item: Item,
    },
    /// An object exists and lies somewhere.
    Lie {
        item: Item,
        at: Place,
    },
    Go {
        who: Who,
        to: Place,
    },
    /// Picks up what lies where the character is.
    Take {
        who: Who,
        item: Item,
    },
    /// Puts down what the character holds.
    Put {
        who: Who,
        item: Item,
    },
    /// Like `Put`, unnoticed.
    Lose {
        who: Who,
        item: Item,
    },
    Give {
        from: Who,
        to: Who,
        item: Item,
    },
    /// Makes a new object and holds it.
    Make {
        who: Who,
        item: Item,
    },
    Break {
        item: Item,
    },
    Mend {
        who: Who,
        item: Item,
    },
    /// The object is no more.
    UseUp {
        who: Who,
        item: Item,
    },
    /// Two characters at one place become friends.
    Befriend {
        a: Who,
        b: Who,
    },
    Feel {
        who: Who,
        feeling: Feeling,
    },
    Learn {
        who: Who,
    },
    /// Some of a number of like things: `before` plus `change` makes `after`.
    Count {
        before: i32,
        change: i32,
        after: i32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Spot {
    With(Who),
    At(Place),
    Gone,
}

#[derive(Clone, Debug)]
struct Thing {
    item: Item,
    spot: Spot,
    broken: bool,
}

/// The state after a sequence of events.
#[derive(Clone, Debug, Default)]
pub struct World {
    people: Vec<(Who, Place, Option<Feeling>)>,
    things: Vec<Thing>,
    friends: Vec<(Who, Who)>,
}

impl World {
    /// The state after `events`, or the first one that does not follow.
    pub fn replay(events: &[Event]) -> Result<Self, String> {
        let mut world = Self::default();
        for (i, &event) in events.iter().enumerate() {
            world.apply(event).map_err(|why| format!("event {i} {event:?}: {why}"))?;
        }
        Ok(world)
    }

    /// Where a character is.
    pub fn place(&self, who: Who) -> Option<Place> {
        self.people.iter().find(|p| p.0 == who).map(|p| p.1)
    }

    /// Who holds an object.
    pub fn holder(&self, item: Item) -> Option<Who> {
        match self.things.iter().find(|t| t.item == item)?.spot {
            Spot::With(who) => Some(who),
            _ => None,
        }
    }

    pub fn feels(&self, who: Who) -> Option<Feeling> {
        self.people.iter().find(|p| p.0 == who)?.2
    }

    pub fn are_friends(&self, a: Who, b: Who) -> bool {
        self.friends.contains(&(a, b)) || self.friends.contains(&(b, a))
    }

    /// Lets `event` happen, or says why it cannot and changes nothing.
    pub fn apply(&mut self, event: Event) -> Result<(), &'static str> {
        match event {
            Event::Enter { who, at } => {
                if self.place(who).is_some() {
                    return Err("the character is in the story already");
                }
                self.people.push((who, at, None));
            }
            Event::Own { who, item } | Event::Make { who, item } => {
                self.place(who).ok_or("the holder is not in the story")?;
                self.add(item, Spot::With(who))?;
            }
            Event::Lie { item, at } => self.add(item, Spot::At(at))?,
            Event::Go { who, to } => {
                self.people.iter_mut().find(|p| p.0 == who).ok_or("the traveller is not in the story")?.1 = to;
            }
            Event::Take { who, item } => {
                let here = self.place(who).ok_or("the taker is not in the story")?;
                let thing = self.thing(item)?;
                if thing.spot != Spot::At(here) {
                    return Err("the object does not lie where the taker is");
                }
                thing.spot = Spot::With(who);
            }
            Event::Put { who, item } | Event::Lose { who, item } => {
                let here = self.place(who).ok_or("the holder is not in the story")?;
                self.held(who, item)?.spot = Spot::At(here);
            }
            Event::Give { from, to, item } => {
                self.together(from, to)?;
                self.held(from, item)?.spot = Spot::With(to);
            }
            Event::Break { item } => {
                let thing = self.thing(item)?;
                if thing.broken {
                    return Err("the object is broken already");
                }
                thing.broken = true;
            }
            Event::Mend { who, item } => {
                let here = self.place(who).ok_or("the mender is not in the story")?;
                let thing = self.thing(item)?;
                if !thing.broken {
                    return Err("the object is not broken");
                }
                if thing.spot != Spot::With(who) && thing.spot != Spot::At(here) {
                    return Err("the object is out of the mender's reach");
                }
                thing.broken = false;
            }
            Event::UseUp { who, item } => self.held(who, item)?.spot = Spot::Gone,
            Event::Befriend { a, b } => {
                self.together(a, b)?;
                if self.are_friends(a, b) {
                    return Err("they are friends already");
                }
                self.friends.push((a, b));
            }
            Event::Feel { who, feeling } => {
                self.people.iter_mut().find(|p| p.0 == who).ok_or("the character is not in the story")?.2 =
                    Some(feeling);
            }
            Event::Learn { who } => {
                self.place(who).ok_or("the learner is not in the story")?;
            }
            Event::Count { before, change, after } => {
                if before < 0 || after < 0 || before + change != after {
                    return Err("the sum does not add up");
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, item: Item, spot: Spot) -> Result<(), &'static str> {
        if self.things.iter().any(|t| t.item == item) {
            return Err("the object is in the story already");
        }
        self.things.push(Thing { item, spot, broken: false });
        Ok(())
    }

    fn thing(&mut self, item: Item) -> Result<&mut Thing, &'static str> {
        let thing = self.things.iter_mut().find(|t| t.item == item).ok_or("the object is not in the story")?;
        if thing.spot == Spot::Gone { Err("the object is no more") } else { Ok(thing) }
    }

    fn held(&mut self, who: Who, item: Item) -> Result<&mut Thing, &'static str> {
        let thing = self.thing(item)?;
        if thing.spot == Spot::With(who) { Ok(thing) } else { Err("the character does not hold the object") }
    }

    fn together(&self, a: Who, b: Who) -> Result<(), &'static str> {
        match (self.place(a), self.place(b)) {
            (Some(p), Some(q)) if p == q && a != b => Ok(()),
            (Some(_), Some(_)) => Err("the two are not together"),
            _ => Err("a character is not in the story"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIM: Who = Who(0);
    const ANN: Who = Who(1);
    const BALL: Item = Item(0);
    const HOME: Place = Place(0);
    const PARK: Place = Place(1);

    #[test]
    fn a_given_object_is_held_by_its_receiver_and_only_by_one() {
        let mut w = World::replay(&[
            Event::Enter { who: TIM, at: HOME },
            Event::Enter { who: ANN, at: HOME },
            Event::Own { who: TIM, item: BALL },
            Event::Give { from: TIM, to: ANN, item: BALL },
        ])
        .unwrap();
        assert_eq!(w.holder(BALL), Some(ANN));
        assert!(w.apply(Event::Give { from: TIM, to: ANN, item: BALL }).is_err());
    }

    #[test]
    fn what_cannot_happen_is_refused() {
        let mut w = World::replay(&[
            Event::Enter { who: TIM, at: HOME },
            Event::Enter { who: ANN, at: PARK },
            Event::Own { who: TIM, item: BALL },
        ])
        .unwrap();
        assert!(w.apply(Event::Give { from: TIM, to: ANN, item: BALL }).is_err(), "they are apart");
        assert!(w.apply(Event::Take { who: ANN, item: BALL }).is_err(), "someone holds it");
        assert!(w.apply(Event::Mend { who: TIM, item: BALL }).is_err(), "it is whole");
        assert!(w.apply(Event::Count { before: 3, change: -1, after: 1 }).is_err(), "3 - 1 is not 1");
        w.apply(Event::UseUp { who: TIM, item: BALL }).unwrap();
        assert!(w.apply(Event::Put { who: TIM, item: BALL }).is_err(), "it is gone");
    }
}
